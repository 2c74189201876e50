//! confd with the same task: the same members in the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::scene::Scene;

/// The members in confd's template language, giving the same lines as [`Scene`].
const TEMPLATE: &str = r#"{{range gets "TOP/*"}}{{$data := json .Value}}server {{base .Key}} weight {{$data.weight}}
{{end}}"#;

/// The binary that `ROSTERD_BENCH_CONFD` names.
pub fn named() -> Option<PathBuf> {
    std::env::var_os("ROSTERD_BENCH_CONFD").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A running confd; killed when dropped.
pub struct Confd(Child);

impl Confd {
    /// Starts it with `-watch` on the scene's path. It writes its files to `confd`.
    pub fn start(binary: &Path, scene: &Scene, server: &str) -> Self {
        let out = scene.site.path("confd");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out).unwrap();
        scene.site.file("confdir/templates/list.tmpl", &TEMPLATE.replace("TOP", &scene.top));
        for name in scene.names() {
            let (out, top) = (out.display(), &scene.top);
            let text = format!("[template]\nsrc = \"list.tmpl\"\ndest = \"{out}/{name}\"\nkeys = [\"{top}\"]\n");
            scene.site.file(&format!("confdir/conf.d/{name}.toml"), &text);
        }
        let mut command = Command::new(binary);
        command.args(["-backend", "zookeeper", "-watch", "-log-level", "error", "-node", server, "-confdir"]);
        command.arg(scene.site.path("confdir")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Confd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

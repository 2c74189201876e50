use super::*;
use crate::model::version::Zxid;

/// A service's nodes by path, with their versions, and transactions on them, as a server keeps them.
#[derive(Debug, Clone, Default)]
pub struct Nodes {
    pub nodes: BTreeMap<String, (Vec<u8>, i32)>,
    pub zxid: i64,
}

pub fn service() -> Service {
    Service::parse("s").unwrap()
}

pub fn env(text: &str) -> Env {
    Env::parse(text).unwrap()
}

pub fn object(text: &str) -> Object {
    Json::parse_object(text.as_bytes()).unwrap_or_else(|why| panic!("{text}: {why}"))
}

impl Nodes {
    /// A service with these environments, whose views are folds.
    pub fn new(confs: &[(&str, &str)]) -> Self {
        let mut nodes = Self::default();
        for (name, conf) in confs {
            nodes.put(service().conf(&env(name)).as_str(), conf);
        }
        nodes.put(service().nodemaps().as_str(), "");
        let tree = nodes.tree();
        for env in tree.envs.keys() {
            let view = crate::jones::json::bytes(&tree.fold(env).unwrap());
            nodes.put(tree.service.view(env).as_str(), &String::from_utf8(view).unwrap());
        }
        nodes
    }

    pub fn put(&mut self, path: &str, data: &str) {
        let version = self.nodes.get(path).map_or(0, |(_, version)| version + 1);
        self.nodes.insert(path.to_owned(), (data.as_bytes().to_vec(), version));
    }

    pub fn text(&self, path: &str) -> &str {
        std::str::from_utf8(&self.nodes[path].0).unwrap()
    }

    fn node(&self, path: &str) -> Option<Node> {
        let (data, version) = self.nodes.get(path)?;
        Some(Node::new(data.as_slice().into(), Stat { version: *version, mzxid: Zxid(self.zxid), ..Stat::default() }))
    }

    /// The service as a writer reads it.
    pub fn tree(&self) -> Tree {
        let service = service();
        let below = |root: &str| -> Vec<Env> {
            let base = format!("/services/s/{root}");
            let names = self.nodes.keys().filter_map(|path| path.strip_prefix(&base));
            names.filter_map(|rest| Env::parse(rest.trim_start_matches('/')).ok()).collect()
        };
        let nodes = |env: Env| {
            let conf = self.node(service.conf(&env).as_str())?;
            let view = self.node(service.view(&env).as_str());
            Some((env, EnvNodes { conf, view }))
        };
        let envs: BTreeMap<Env, EnvNodes> = below("conf").into_iter().filter_map(nodes).collect();
        let orphans = below("views").into_iter().filter(|env| !envs.contains_key(env)).collect();
        let frozen =
            |path: &&String| ["pins", "canary"].iter().any(|dir| path.starts_with(&format!("/services/s/{dir}/")));
        Tree {
            nodemaps: match self.node(service.nodemaps().as_str()) {
                Some(node) => NodeMaps::parse(&node.data).map(|maps| MapsNode { stat: Some(node.stat), maps }),
                None => Ok(MapsNode::default()),
            },
            frozen: self
                .nodes
                .keys()
                .filter(frozen)
                .map(|path| (NodePath::parse(path).unwrap(), self.node(path).unwrap()))
                .collect(),
            envs,
            orphans,
            service,
        }
    }
}

#[test]
fn a_view_is_a_shallow_fold_from_the_root_environment_on() {
    let nodes = Nodes::new(&[
        ("", r#"{"a": 1, "n": {"x": 1, "y": 2}, "nul": 0}"#),
        ("parent", r#"{"n": {"y": 3}, "b": [1]}"#),
        ("parent/child1", r#"{"nul": null, "b": []}"#),
        ("parent2", "{}"),
    ]);
    let tree = nodes.tree();
    let fold = |name: &str| String::from_utf8(crate::jones::json::bytes(&tree.fold(&env(name)).unwrap())).unwrap();
    // Values are replaced as a whole, null is a value, and keys keep the place where they came up first.
    assert_eq!(fold("parent/child1"), r#"{"a": 1, "n": {"y": 3}, "nul": null, "b": []}"#);
    assert_eq!(fold("parent2"), r#"{"a": 1, "n": {"x": 1, "y": 2}, "nul": 0}"#);
    let below: Vec<String> = tree.within(&env("parent")).map(Env::to_string).collect();
    assert_eq!(below, ["parent", "parent/child1"], "parent2 is not below parent");
    assert!(tree.envs.keys().all(|env| !tree.is_stale(env)));
}

#[test]
fn views_are_compared_as_values() {
    let mut nodes = Nodes::new(&[("", r#"{"a": 1, "b": 2}"#), ("eu", "{}")]);
    nodes.put("/services/s/views", r#"{"b":2,"a":1}"#);
    for (text, is_stale) in [(r#"{"b": 2, "a": 1}"#, false), (r#"{"a": 1}"#, true), ("", true), ("[]", true)] {
        nodes.put("/services/s/views/eu", text);
        assert_eq!((nodes.tree().is_stale(&env("eu")), nodes.tree().is_stale(&Env::ROOT)), (is_stale, false), "{text}");
    }
    nodes.nodes.remove("/services/s/views/eu");
    assert!(nodes.tree().is_stale(&env("eu")), "a missing view");
    nodes.put("/services/s/conf", "{");
    let wrong = nodes.tree().fold(&env("eu")).unwrap_err();
    assert_eq!(wrong.env, Env::ROOT);
}

#[test]
fn hosts_are_known_by_what_they_read() {
    let mut nodes = Nodes::new(&[("", "{}"), ("eu", "{}")]);
    nodes.put(
        "/services/s/nodemaps",
        r#"{"h1": "/services/s/views/eu", "h2": "/services/s/views", "h3": "/services/s/pins/r3/eu", "h4": "/else"}"#,
    );
    let tree = nodes.tree();
    assert_eq!(tree.readers(&env("eu")), ["h1"]);
    assert_eq!(tree.readers(&Env::ROOT), ["h2"]);
    assert_eq!(tree.all_readers(&env("eu")), ["h1", "h3"]);
    assert_eq!(tree.destination("h9").unwrap().path.as_str(), "/services/s/conf");
    assert!(tree.destination("h4").unwrap_err().contains("outside of its service"));
}

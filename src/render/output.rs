//! Renders into a buffer of limited size.

use std::any::Any;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tera::{Context, Tera};

use super::RenderError;

/// The maximum size of a rendered file, in bytes.
pub const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// Accepts at most [`MAX_OUTPUT`] bytes.
struct LimitedBuffer {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for LimitedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > MAX_OUTPUT - self.bytes.len() {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Renders one template. A panic is returned as an error.
pub fn render(tera: &Tera, name: &str, context: &Context, src: &Path) -> Result<Vec<u8>, RenderError> {
    let mut out = LimitedBuffer { bytes: Vec::new(), full: false };
    // Safe: the writer is not used after a panic, and rendering does not change Tera or the context.
    let result = catch_unwind(AssertUnwindSafe(|| {
        tera.render_to(name, context, &mut out).map_err(|error| RenderError::from_tera(&error, src))
    }));
    match result {
        Ok(Ok(())) => Ok(out.bytes),
        Ok(Err(_)) if out.full => Err(RenderError::without_position(
            src,
            &format!("the output is larger than {} MiB", MAX_OUTPUT / (1024 * 1024)),
        )),
        Ok(Err(error)) => Err(error),
        Err(panic) => Err(RenderError::without_position(src, &format!("Tera panicked: {}", panic_text(&*panic)))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

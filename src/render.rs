//! Tera: templates are read and vetted once at load; (template, snapshot) → bytes, or an error with a caret. Pure, and
//! called off the event loop.

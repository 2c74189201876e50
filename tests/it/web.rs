//! The beginning of most configurations in these tests.

/// A configuration with the directory registry `registry` and the roster `web` of `/services/web`: further lines of the
/// roster, and what follows it.
macro_rules! web {
    ($roster:literal, $rest:literal $(,)?) => {
        concat!(
            "\n[registry]\nurl = \"dir:registry\"\n\n[[roster]]\nname = \"web\"\npath = \"/services/web\"\n",
            $roster,
            "\n",
            $rest
        )
    };
}

//! The head that most configurations of these tests have.

/// A configuration on the directory registry `registry`, with the roster `web` of `/services/web`: its further lines, and
/// what follows it.
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

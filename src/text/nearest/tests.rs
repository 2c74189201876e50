use super::*;

#[test]
fn a_typo_is_corrected_and_another_word_is_not() {
    let known = ["check_cmd", "reload_cmd", "mode", "dest", "min", "max", "memcached", "Zone", "é", "x"];
    for (written, meant) in [
        ("chekc_cmd", Some("check_cmd")),
        ("reload-cmd", Some("reload_cmd")),
        ("RELOAD_CMD", Some("reload_cmd")),
        ("Mode", Some("mode")),
        ("dest_", Some("dest")),
        ("mim", Some("min")),
        ("memcache", Some("memcached")),
        ("zone", Some("Zone")),
        ("mxn", Some("min")),
        ("colour", None),
        ("y", None),
        ("xx", Some("x")),
        ("è", None),
        ("", None),
        ("memory_of_cache", None),
    ] {
        assert_eq!(nearest(written, known.into_iter()), meant, "{written}");
    }
}

use super::*;

#[test]
fn a_name_is_decoded() {
    for (name, host, port, context) in [
        ("10.0.0.1:8983_solr", "10.0.0.1", 8983, "solr"),
        ("solr_1:8983_a%2Fb_c", "solr_1", 8983, "a/b_c"),
        ("h:8983_", "h", 8983, ""),
        ("[2001:db8::1]:8983_solr", "2001:db8::1", 8983, "solr"),
    ] {
        let fields = decode(name).unwrap();
        assert_eq!((fields.host.as_deref(), fields.port), (Some(host), Some(port)), "{name}");
        assert_eq!(fields.data["context"], context, "{name}");
    }
    for name in ["h:8983", "h_solr", ":1_solr", "h:x_solr", "a b:1_solr", "h:0_solr", "h:1_%ff", "", "]:", "é:1_é"] {
        assert!(decode(name).is_err(), "{name}");
    }
}

use super::*;
use serde_json::json;

const DATA: &[u8] = br#"{"host":"10.0.0.5","port":8080,"name":"i-123","weight":10}"#;

#[test]
fn data_gives_host_and_port() {
    let fields = decode("i-123_0000000007", DATA).unwrap();
    assert_eq!((fields.host.as_deref(), fields.port), (Some("10.0.0.5"), Some(8080)));
    assert_eq!((fields.id.as_deref(), fields.weight), (Some("i-123"), Some(10.0)));
    assert_eq!(fields.data["sequence"], json!(7));
    assert_eq!(decode("web", br#"{"host":"a","port":"80"}"#).unwrap().port, Some(80));
}

#[test]
fn a_name_may_contain_the_json() {
    // The base64 of this one contains an underscore.
    let text = r#"{"host":"a","port":1,"name":"??>"}"#;
    let padded = "eyJob3N0IjoiYSIsInBvcnQiOjEsIm5hbWUiOiI_Pz4ifQ==";
    assert_eq!(Value::Object(base64_object(padded).unwrap()), serde_json::from_str::<Value>(text).unwrap());
    for encoded in [padded, padded.trim_end_matches('=')] {
        let fields = decode(&format!("base64_{}_{encoded}_0000000042", encoded.len()), b"").unwrap();
        assert_eq!((fields.host.as_deref(), fields.id.as_deref()), (Some("a"), Some("??>")));
        assert_eq!(fields.data["sequence"], json!(42));
    }
    for name in ["base64_9999_AAAA_1", "base64_x_AAAA_1", "base64_4_!!!!_1", "base64_2_é_1", "base64_"] {
        assert_eq!(decode(name, DATA).unwrap().port, Some(8080), "{name}: the data is used instead");
    }
}

#[test]
fn a_node_without_an_address_is_quarantined() {
    for (data, why) in [
        (&b""[..], "it has no data"),
        (br#"{"port":80}"#, "its data has no host"),
        (br#"{"host":5,"port":80}"#, "host in its data is not a string"),
        (br#"{"host":"a b","port":80}"#, "host in its data is neither a host name nor an address"),
        (br#"{"host":"a"}"#, "its data has no port"),
        (br#"{"host":"a","port":-1}"#, "port in its data is not a valid port"),
        (b"[1]", "its data is JSON but not an object"),
    ] {
        assert_eq!(decode("i_1", data).unwrap_err().to_string(), why);
    }
}

use super::*;

#[test]
fn redirects_lead_only_to_the_same_host() {
    let from = "https://bucket.example:8443/a/ensemble.json?v=1";
    for (location, expected) in [
        ("/b.json", Ok("https://bucket.example:8443/b.json")),
        ("b.json?v=2", Ok("https://bucket.example:8443/a/b.json?v=2")),
        ("//bucket.example/b.json", Ok("https://bucket.example/b.json")),
        ("https://BUCKET.example/b.json", Ok("https://BUCKET.example/b.json")),
        ("https://other.example/b.json", Err("it redirects to another host, other.example")),
        ("//other.example/b.json", Err("it redirects to another host, other.example")),
        ("https://bucket.example@other.example/", Err("it redirects to another host, other.example")),
        ("http://bucket.example/b.json", Err("it redirects from https to another scheme")),
        ("https://", Err("the redirect has no valid location")),
    ] {
        assert_eq!(redirected(from, location), expected.map(str::to_owned).map_err(str::to_owned), "{location}");
    }
    assert_eq!(redirected("http://h", "x"), Ok("http://h/x".to_owned()));
    assert_eq!(redirected("http://h", "https://h/x"), Ok("https://h/x".to_owned()));
}

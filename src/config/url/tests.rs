use super::*;

fn parse(text: &str) -> Result<String, String> {
    RegistryUrl::parse(text, Path::new("/etc/x")).map(|url| url.to_string()).map_err(|wrong| wrong.message)
}

#[test]
fn registry_urls_are_parsed() {
    for (text, want) in [
        ("zk://a", "zk://a:2181"),
        ("zk://a:1,b:65535/c/d", "zk://a:1,b:65535/c/d"),
        ("zk://a/", "zk://a:2181"),
        ("zks://[::1]:2281,[2001:db8::1]/x", "zks://[::1]:2281,[2001:db8::1]:2181/x"),
        ("dir:reg", "dir:/etc/x/reg"),
        ("dir:/srv/reg", "dir:/srv/reg"),
        ("https://bucket.example/e.json", "https://bucket.example/e.json"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        // The signature is not shown.
        ("https://bucket/e.json?sig=s3cret&x=%20", "https://bucket/e.json?[dfeec6f43d40a2c1]"),
    ] {
        assert_eq!(parse(text).as_deref(), Ok(want), "{text}");
    }
}

#[test]
fn exhibitor_urls_are_parsed() {
    for (text, want) in [
        ("http://e", Ok("http://e:80")),
        ("http://10.0.0.1:8080/", Ok("http://10.0.0.1:8080")),
        ("http://[::1]:8080/exhibitor/v1/cluster/list", Ok("http://[::1]:8080")),
        ("e:8080", Err(r#""e:8080" is not an http:// URL"#)),
        ("https://e", Err("rosterd uses http for Exhibitor, not https")),
        ("http://u:p@e", Err("the host name of an Exhibitor contains an @")),
        ("http://e/x", Err("rosterd uses /exhibitor/v1/cluster/list of Exhibitor, not /x")),
        ("http://", Err("a server name is missing")),
        ("http://e:x", Err(r#""x" is not a valid port"#)),
        ("http://e?x", Err(r#""e?x" is not a valid host name"#)),
    ] {
        let read = exhibitor(text).map_err(|wrong| wrong.message);
        assert_eq!(read, want.map(str::to_owned).map_err(str::to_owned), "{text}");
    }
}

#[test]
fn a_scheme_or_chroot_that_is_written_for_each_server_is_refused_with_the_right_url() {
    let (chroot, scheme) = (
        "the chroot may appear only once, at the end of the url",
        "zk:// may appear only once, at the start of the url",
    );
    for (text, message, hint) in [
        ("zk://a:2181/svc,b:2181/svc", chroot, "write zk://a:2181,b:2181/svc"),
        ("zk://a/svc/x,b", chroot, "write zk://a,b/svc/x"),
        ("zk://a/svc,zk://b/svc", chroot, "write zk://a,b/svc"),
        ("zk://a,zk://b:1,zk://c/svc", scheme, "write zk://a,b:1,c/svc"),
        ("zk://zk://a", scheme, "write zk://a"),
    ] {
        let wrong = RegistryUrl::parse(text, Path::new("/")).unwrap_err();
        assert_eq!((&*wrong.message, wrong.hint.as_deref()), (message, Some(hint)), "{text}");
    }
    let wrong = RegistryUrl::parse("zks://a/svc,user:password@b/svc", Path::new("/")).unwrap_err();
    assert_eq!(wrong.message, "a server name contains an @", "and the password is not shown");
}

#[test]
fn registry_problems_are_reported() {
    for (text, want) in [
        ("", r#""" is not a valid registry URL"#),
        ("etcd://a", r#""etcd://a" is not a valid registry URL"#),
        ("zk://", "a server name is missing"),
        ("zk://a,,b", "a server name is missing"),
        ("zk://a,", "a server name is missing"),
        ("zk:///x", "a server name is missing"),
        ("zk://:2181", r#"":2181" has no host"#),
        ("zk://a:", r#""" is not a valid port"#),
        ("zk://a:0", r#""0" is not a valid port"#),
        ("zk://a:+1", r#""+1" is not a valid port"#),
        ("zk://a:65536", r#""65536" is not a valid port"#),
        ("zk://::1", r#""::1" has no host"#),
        ("zk://fe80::1", r#"":1" is not a valid port"#),
        ("zk://[::1", r#""[::1" has no ]"#),
        ("zk://[a]", r#""a" is not a valid IPv6 address"#),
        ("zk://[::1]x", r#""[::1]x" has "x" after the ]"#),
        ("zk://a b", r#""a b" is not a valid host name"#),
        ("zk://u:p@a", "a server name contains an @"),
        (
            "zk://a//x",
            r#"the chroot "//x" is not a valid path: a registry path has no empty segment and no trailing /"#,
        ),
        (
            "zk://a/x/",
            r#"the chroot "/x/" is not a valid path: a registry path has no empty segment and no trailing /"#,
        ),
        ("https://", "a server name is missing"),
        ("https:///x", "a server name is missing"),
        ("https://a:0/x", r#""0" is not a valid port"#),
        ("https://u:p@a/x", "the host of a registry contains an @"),
        ("https://a/x#y", "the URL contains a character that must be escaped with %"),
        ("https://a/x y", "the URL contains a character that must be escaped with %"),
        ("https://a/é", "the URL contains a character that must be escaped with %"),
        ("ftp://a/x", r#""ftp://a/x" is not a valid registry URL"#),
        ("dir:", r#""dir:" does not name a directory"#),
        ("dir://srv/x", r#""dir://srv/x" does not name a directory"#),
    ] {
        assert_eq!(parse(text), Err(want.to_owned()), "{text}");
    }
}

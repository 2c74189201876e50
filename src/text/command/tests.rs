use super::*;

#[test]
fn a_name_of_a_registry_cannot_end_a_printed_command() {
    for (arguments, wanted) in [
        (&["status"][..], "rosterd status"),
        (&["jones", "apply", "pycon/a", "FILE"], "rosterd jones apply pycon/a FILE"),
        (&["jones", "acl", "pycon", "--grant"], "rosterd jones acl pycon --grant"),
        (&["jones", "adopt", "x; touch pwn"], "rosterd jones adopt 'x; touch pwn'"),
        (&["explain", "it's $(id)"], r"rosterd explain 'it'\''s $(id)'"),
        (&["resume", "site[a]"], "rosterd resume 'site[a]'"),
    ] {
        assert_eq!(rosterd(arguments), wanted);
    }
}

//! Errors in output settings: templates, commands, values.

use super::one;

#[test]
fn invalid_sources_and_destinations_are_reported() {
    insta::assert_snapshot!(one("[[template]]\nsrc = \"godo.tera\"\ndest = \"/x/a\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/\"\n[[template]]\nsrc = \"good.tera\"\n"), @r#"
    rosterd: invalid configuration
    error: the template "godo.tera" cannot be found: No such file or directory (os error 2)
     --> rosterd.toml:3:7
      |
    3 | src = "godo.tera"
      |       ^^^^^^^^^^^
      |
      = help: src is relative to template_dir, which is templates

    error: dest "/x/" names a directory, but a template writes one file
     --> rosterd.toml:7:8
      |
    7 | dest = "/x/"
      |        ^^^^^
      |
      = help: add the file's name

    error: [[template]] has no `dest`
     --> rosterd.toml:8:1
      |
    8 | [[template]]
      | ^^^^^^^^^^^^
      |
      = help: add dest = "/etc/haproxy/haproxy.cfg"

    3 problems
    "#);
}

#[test]
fn a_destination_of_two_templates_is_reported() {
    insta::assert_snapshot!(one("[[template]]\nname = \"a\"\nsrc = \"good.tera\"\ndest = \"/x/a\"\n[[template]]\nname = \"b\"\nsrc = \"good.tera\"\ndest = \"/x/y/../a\"\n"), @r#"
    rosterd: invalid configuration
    error: /x/y/../a is already written by the template at rosterd.toml:5
     --> rosterd.toml:9:8
      |
    9 | dest = "/x/y/../a"
      |        ^^^^^^^^^^^
      |
      = help: only one template can write a file: give one of them another dest

    1 problem
    "#);
}

#[test]
fn invalid_commands_are_reported() {
    insta::assert_snapshot!(one("[[template]]\nsrc = \"good.tera\"\ndest = \"/x/a b\"\ncheck_cmd = \"check {{ src }}\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/c\"\ncheck_cmd = \"check {{ soruce }}\"\nreload_cmd = []\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/d\"\nreload_cmd = { signal = \"HPU\", pid_file = \"/run/x.pid\" }\n"), @r#"
    rosterd: invalid configuration
    error: the path "/x/a b" has ' ', which may be special to the shell that runs `check_cmd`
     --> rosterd.toml:4:8
      |
    4 | dest = "/x/a b"
      |        ^^^^^^^^
      |
      = help: write check_cmd as a list, which is run without a shell: ["program", "{{ dest }}"]

    error: {{ soruce }} is not a variable of this command
     --> rosterd.toml:9:20
      |
    9 | check_cmd = "check {{ soruce }}"
      |                    ^^^^^^^^^^^^
      |
      = help: {{ src }} is the staged file and {{ dest }} the destination; ROSTERD_CHANGED and others are in the command's environment; to write literal braces, put a space between them: { {

    error: `reload_cmd` is an empty list
      --> rosterd.toml:10:14
       |
    10 | reload_cmd = []
       |              ^^
       |
       = help: name the program and its arguments, or remove `reload_cmd`

    error: "HPU" is not a valid signal
      --> rosterd.toml:14:25
       |
    14 | reload_cmd = { signal = "HPU", pid_file = "/run/x.pid" }
       |                         ^^^^^
       |
       = help: write a name from `kill -l`, such as HUP, USR1 or USR2

    4 problems
    "#);
}

#[test]
fn invalid_variables_are_reported() {
    insta::assert_snapshot!(one("[vars]\nzone = \"west\"\n[[roster]]\npath = \"/s/{{ vars.zome }}/web\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/{{ env.ROSTERD_NEVER_SET }}\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/{{ host.name\"\n"), @r#"
    rosterd: invalid configuration
    error: `vars.zome` is not set
     --> rosterd.toml:5:12
      |
    5 | path = "/s/{{ vars.zome }}/web"
      |            ^^^^^^^^^^^^^^^
      |
      = help: [vars] has zone

    error: $ROSTERD_NEVER_SET is not set
     --> rosterd.toml:8:12
      |
    8 | dest = "/x/{{ env.ROSTERD_NEVER_SET }}"
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: set ROSTERD_NEVER_SET in rosterd's own environment, or write the value here

    error: `{{` is not closed
      --> rosterd.toml:11:12
       |
    11 | dest = "/x/{{ host.name"
       |            ^^^^^^^^^^^^
       |
       = help: write }} after the variable

    3 problems
    "#);
}

#[test]
fn invalid_modes_and_owners_are_reported() {
    insta::assert_snapshot!(one("[[template]]\nsrc = \"good.tera\"\ndest = \"/x/a\"\nmode = 644\nowner = \"nobody-has-this-name\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/b\"\nmode = \"0999\"\n"), @r#"
    rosterd: invalid configuration
    error: `mode` must be a string of octal digits, not a whole number
     --> rosterd.toml:5:8
      |
    5 | mode = 644
      |        ^^^
      |
      = help: write mode = "0644"

    error: there is no user "nobody-has-this-name" on this host
     --> rosterd.toml:6:9
      |
    6 | owner = "nobody-has-this-name"
      |         ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: create it, write a numeric ID, or remove this setting to leave the file's owner as it is

    error: "0999" is not a valid file mode
      --> rosterd.toml:10:8
       |
    10 | mode = "0999"
       |        ^^^^^^
       |
       = help: write octal digits as for chmod, such as "0644"

    3 problems
    "#);
}

#[test]
fn invalid_durations_are_reported() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/s/web\"\nwait = \"2s:1s\"\nhold_max = \"15 parsecs\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/a\"\ncheck_timeout = 30\nreload_timeout = \"0s\"\n"), @r#"
    rosterd: invalid configuration
    error: the quiet period (2s) is longer than the maximum wait (1s)
     --> rosterd.toml:4:8
      |
    4 | wait = "2s:1s"
      |        ^^^^^^^
      |
      = help: write QUIET:MAX, as in "1s:2s"

    error: "15 parsecs" is not a valid duration
     --> rosterd.toml:5:12
      |
    5 | hold_max = "15 parsecs"
      |            ^^^^^^^^^^^^
      |
      = help: write a number and its unit, as in "500ms", "2s" or "5m"

    error: `check_timeout` must be a string, not a whole number
     --> rosterd.toml:9:17
      |
    9 | check_timeout = 30
      |                 ^^
      |
      = help: write check_timeout = "30s"

    error: `reload_timeout` is 0; it must be greater than 0
      --> rosterd.toml:10:18
       |
    10 | reload_timeout = "0s"
       |                  ^^^^
       |
       = help: write a duration greater than 0, as in "30s"

    4 problems
    "#);
}

#[test]
fn values_of_the_wrong_type_are_reported() {
    insta::assert_snapshot!(one("roster = \"web\"\n[[key]]\npath = 5\n[[template]]\nsrc = [\"good.tera\"]\ndest = \"/x/a\"\nmake_dirs = \"yes\"\ncheck_cmd = [\"true\", 1]\n"), @r#"
    rosterd: invalid configuration
    error: `roster` must be a list of tables, not a string
     --> rosterd.toml:2:10
      |
    2 | roster = "web"
      |          ^^^^^
      |
      = help: write [[roster]] with two brackets

    error: `path` must be a string, not a whole number
     --> rosterd.toml:4:8
      |
    4 | path = 5
      |        ^
      |
      = help: write path = "/config/app"

    error: `src` must be a string, not a list
     --> rosterd.toml:6:7
      |
    6 | src = ["good.tera"]
      |       ^^^^^^^^^^^^^
      |
      = help: write src = "haproxy.cfg.tera"

    error: `make_dirs` must be true or false, not a string
     --> rosterd.toml:8:13
      |
    8 | make_dirs = "yes"
      |             ^^^^^
      |
      = help: write make_dirs = true

    error: an element of `check_cmd` must be a string, not a whole number
     --> rosterd.toml:9:22
      |
    9 | check_cmd = ["true", 1]
      |                      ^
      |
      = help: write check_cmd = ["haproxy", "-c", "-f", "{{ src }}"]

    5 problems
    "#);
}

//! What follows the options in `--help`: examples and exit codes. A test runs every example.

/// For the program itself.
pub const MAIN: &str = "\
Examples:
  rosterd demo
  rosterd init haproxy --registry zk://zk1:2181,zk2:2181 --path /services/web
  rosterd check -c rosterd.toml
  rosterd run -c rosterd.toml
  rosterd get /services/web --registry zk://zk1:2181,zk2:2181
  rosterd explain haproxy.cfg

Exit codes:
   0  success, or nothing to do             5  another agent has locked the state directory
   1  a step failed                        64  invalid usage
   2  something differs (diff)             69  no agent answers
   3  too few members, a hold, or a pause  78  invalid configuration or templates
   4  the registry could not be reached";

/// For `init`.
pub const INIT: &str = "\
Examples:
  rosterd init
  rosterd init haproxy --registry zk://zk1:2181,zk2:2181 --path /services/web
  rosterd init nginx --dir /tmp/nginx

Exit codes:
   0  the files are written
   1  a file cannot be created
  64  the software is unknown, or a file exists
  78  this host cannot use the configuration";

/// For `run`.
pub const RUN: &str = "\
Examples:
  rosterd run
  rosterd run -c rosterd.toml -- haproxy -W -f /etc/haproxy/haproxy.cfg

Exit codes:
   0  stopped by SIGTERM or SIGINT
   5  another agent has locked the state directory
  78  invalid configuration or templates
 127  CMD cannot be started
With on_exit = \"stop\", the exit code of CMD.";

/// For `register`.
pub const REGISTER: &str = "\
Examples:
  rosterd register
  rosterd register -c /etc/zk/config.cfg -s zk1:2181,zk2:2181

Exit codes:
   0  stopped by SIGTERM, SIGINT or SIGUSR2
   5  another agent has locked the state directory
  78  invalid configuration";

/// For `render`.
pub const RENDER: &str = "\
Examples:
  rosterd render
  rosterd render haproxy.cfg --diff
  rosterd render --dry-run --detailed-exitcode
  rosterd render --registry zk://zk1:2181 --roster web=/services/web --template web.tera:web.conf
  rosterd render --output /tmp/review

Exit codes:
   0  every file is up to date
   1  a render, check, write or reload failed
   2  a file differed (--detailed-exitcode)
   3  too few members, a roster or key held, or replacement paused
   4  the registry could not be reached in time
  78  invalid configuration or templates";

/// For `diff`.
pub const DIFF: &str = "\
Examples:
  rosterd diff
  rosterd diff haproxy.cfg --timeout 5s

Exit codes:
   0  no file would change
   1  a template cannot be rendered
   2  a file would change
   3  too few members, or a roster or key held
   4  the registry could not be reached in time
  78  invalid configuration or templates";

/// For `get`.
pub const GET: &str = "\
Examples:
  rosterd get /services/web --min 2 --max 5
  rosterd get '/services/*' --format json
  rosterd get /services/web --quiet --timeout 10s --cache /var/cache/rosterd/web.json
  rosterd get /services/web --agent
  rosterd get --save members.json

Exit codes:
   0  the members are on standard output
   3  fewer members than --min: nothing is printed
   4  the registry could not be reached, and there is no usable cache
  69  no agent answers (--agent)";

/// For `lock`.
pub const LOCK: &str = "\
Examples:
  rosterd lock /locks/backup --wait-for 0s -- /usr/local/bin/backup
  rosterd lock /locks/deploy --wait-for 10m -- ./deploy.sh web
  rosterd lock /locks/deploy --list

Exit codes:
   3  another holds the lock (--wait-for)
   4  the registry could not be reached
   1  the registry refused, or the lock was lost before CMD started
  64  invalid usage
  78  invalid configuration
 126  CMD cannot be executed
 127  CMD was not found
Otherwise the exit code of CMD: 128 and the number of the signal if one ended it.";

/// For `prime-chroot`.
pub const PRIME_CHROOT: &str = "\
Examples:
  rosterd prime-chroot zk://zk1:2181,zk2:2181/production
  rosterd prime-chroot zk1:2181/prod --auth zk.auth --acl auth::cdrwa --acl world:anyone:r

Exit codes:
   0  the chroot exists; the nodes that were created are on standard output
   1  a node cannot be created
   4  the registry could not be reached in time
  78  the credentials cannot be read";

/// For `test`.
pub const TEST: &str = "\
Examples:
  rosterd test -c rosterd.toml
  rosterd test tests/haproxy.toml

Exit codes:
   0  every case passed
   1  a case failed
  78  invalid configuration, templates or cases";

/// For `jones`.
pub const JONES: &str = "\
Examples:
  rosterd jones ls pycon --registry zk://zk1:2181
  rosterd jones get pycon/parent --trace
  rosterd jones get pycon locale --host h1
  rosterd jones set pycon/parent 'locale=\"fr\"' -m yearly
  rosterd jones edit pycon/parent --try /etc/rosterd/rosterd.toml
  rosterd jones diff pycon/parent new.json
  rosterd jones rollback pycon r12
  rosterd jones check --all
  rosterd jones serve --write

Exit codes:
   0  done, or nothing to do
   1  refused by a check, or failed: nothing was written
   2  something differs (diff, --dry-run --detailed-exitcode)
   3  somebody else changed the same meanwhile: nothing was written; get: there is no such value
   4  the registry could not be reached in time
  64  invalid usage
  78  invalid configuration of serve";

/// For `migrate`.
pub const MIGRATE: &str = "\
Examples:
  rosterd migrate confd /etc/confd --output /etc/rosterd.new
  rosterd migrate consul-template ct.hcl --output out --registry zk://zk1:2181 --prefix /services
  rosterd migrate zk_watcher /etc/zk/config.cfg --output out

Exit codes:
   0  everything was converted
   1  some parts were not converted: REPORT.md in the output directory lists them
  64  the output directory is not empty
  78  the old configuration cannot be read";

/// For `generate`.
pub const GENERATE: &str = "\
Examples:
  rosterd generate config
  rosterd generate completions bash
  rosterd generate man /usr/local/share/man/man1
  rosterd generate schema

Exit codes:
   0  success
   1  a file cannot be written";
/// For `history`.
pub const HISTORY: &str = "\
Examples:
  rosterd history
  rosterd history haproxy.cfg --since 2h
  rosterd history show 41
  rosterd history diff 38 41

Exit codes:
   0  the history is on standard output
   1  the content of a generation is no longer kept (diff)
  64  there is no entry with this number
  69  no agent answers, and the state directory cannot be read";

/// For `rollback`.
pub const ROLLBACK: &str = "\
Examples:
  rosterd rollback haproxy.cfg 41 --reason outage
  rosterd resume haproxy.cfg

Exit codes:
   0  the file has the content of the generation, its reload has succeeded, and it is pinned
   1  the check refused the content, and nothing was changed; or the reload failed
   3  replacement is paused
  64  there is no such template or generation
  69  no agent answers";

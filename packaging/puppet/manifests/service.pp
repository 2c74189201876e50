# @summary Registers a service of this host while its check passes.
#
# The parameters are those of `zk_watcher::add`, and so are the defaults: a check has a time limit of 90 s, and one
# failure deregisters the service. `settings` overrides them.
#
# @param port
#   The port of the service.
# @param path
#   The path below which the service's node is created.
# @param cmd
#   The command that checks the service. A text is split at spaces. No shell runs it. Required unless `settings` has
#   `check`.
# @param data
#   What the node contains in addition: a hash, pairs such as `zone=a,weight=5`, or a list of pairs.
# @param refresh
#   The interval of checks in seconds.
# @param host
#   The host name or address in the node. Default: that of the class, `service_host`.
# @param settings
#   Other keys of `[[service]]`.
#
# @example
#   rosterd::service { 'memcached':
#     port => 11211,
#     path => '/services/production/memcached',
#     cmd  => 'pgrep memcached',
#   }
define rosterd::service (
  Variant[Integer[1, 65535], Pattern[/\A[1-9]\d{0,4}\z/]]     $port,
  Pattern[/\A\//]                                             $path,
  Optional[Variant[String[1], Array[String[1], 1]]]           $cmd      = undef,
  Variant[String, Array[String], Hash[String[1], Any]]        $data     = '',
  Variant[Integer[1], Pattern[/\A0*[1-9]\d*\z/]]              $refresh  = 30,
  Optional[String[1]]                                         $host     = undef,
  Hash[String[1], Any]                                        $settings = {},
) {
  include rosterd

  if !$cmd and !$settings['check'] {
    fail("rosterd::service ${title}: it has neither cmd nor a check in settings")
  }
  $check = $cmd ? {
    Array   => { 'cmd' => $cmd },
    String  => { 'cmd' => $cmd.strip.split(/ +/) },
    default => undef,
  }
  $pairs = $data ? {
    Array   => $data.join(','),
    default => $data,
  }
  $values = {
    'name'     => $title,
    'path'     => $path,
    'host'     => $host ? { undef => $rosterd::service_host, default => $host },
    'port'     => Integer($port, 10),
    'data'     => empty($pairs) ? { true => undef, default => $pairs },
    'check'    => $check,
    'interval' => "${Integer($refresh, 10)}s",
    'timeout'  => '90s',
    'fall'     => 1,
  }
  rosterd::fragment { "service-${title}":
    content => rosterd::toml('[[service]]', $values + $settings),
  }
}

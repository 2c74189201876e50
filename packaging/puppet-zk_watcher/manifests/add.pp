# @summary Registers a service of this host, as `rosterd::service`.
#
# @param port
#   The port of the service.
# @param cmd
#   The command that checks the service, without a shell.
# @param path
#   The path below which the service's node is created.
# @param data
#   What the node contains in addition: pairs such as `zone=a,weight=5`, or a list of pairs.
# @param refresh
#   The interval of checks in seconds.
#
# @example
#   zk_watcher::add { 'memcached':
#     port => 11211,
#     cmd  => 'pgrep memcached',
#     path => '/services/production/uswest1/memcached',
#   }
define zk_watcher::add (
  Variant[Integer[1, 65535], Pattern[/\A[1-9]\d{0,4}\z/]] $port,
  Variant[String[1], Array[String[1], 1]]                 $cmd,
  Pattern[/\A\//]                                         $path,
  Variant[String, Array[String]]                          $data    = '',
  Variant[Integer[1], Pattern[/\A0*[1-9]\d*\z/]]          $refresh = 30,
) {
  rosterd::service { $title:
    port    => $port,
    cmd     => $cmd,
    path    => $path,
    data    => $data,
    refresh => $refresh,
  }
}

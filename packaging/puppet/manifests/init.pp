# @summary Installs rosterd, configures it, and runs it.
#
# The module owns the directory `puppet.d` in `config_dir`: a file there that no resource declares is removed, and the
# agent reloads. Thus a service that is no longer declared is deregistered. Files in `conf.d` are not touched.
#
# @param registry
#   The URL of the registry, such as `zk://zk1:2181,zk2:2181`. Without it, `rosterd.toml` is not managed, and must
#   contain `include = ["conf.d/*.toml", "puppet.d/*.toml"]`.
# @param registry_settings
#   Other keys of `[registry]`, such as `auth` and `tls`.
# @param settings
#   Other tables of `rosterd.toml`, by name: `agent`, `status`, `vars`, `exec`.
# @param rosters
#   `rosterd::roster` resources, by title.
# @param templates
#   `rosterd::template` resources, by title.
# @param services
#   `rosterd::service` resources, by title.
# @param service_host
#   The host name or address in the nodes of services. Default: the full name of the host, as `hostname -f` prints it.
# @param config_dir
#   The directory of `rosterd.toml`.
# @param command
#   The program.
# @param manage_package
#   Whether to install the package.
# @param package_name
#   The name of the package.
# @param package_ensure
#   The state or version of the package.
# @param manage_service
#   Whether to run the agent. Without it, each Puppet run renders the templates, and no service is registered.
# @param service_ensure
#   Whether the agent runs.
# @param service_enable
#   Whether the agent is started when the host starts.
#
# @example In hiera, with `include rosterd`
#   rosterd::registry: 'zk://zk1:2181,zk2:2181,zk3:2181'
class rosterd (
  Optional[Pattern[/\A(zk|zks|dir):/]]        $registry          = undef,
  Hash[String[1], Any]                        $registry_settings = {},
  Hash[String[1], Hash[String[1], Any]]       $settings          = {},
  Hash[String[1], Hash[String[1], Any]]       $rosters           = {},
  Hash[String[1], Hash[String[1], Any]]       $templates         = {},
  Hash[String[1], Hash[String[1], Any]]       $services          = {},
  Optional[String[1]]                         $service_host      = undef,
  Pattern[/\A(\/[A-Za-z0-9._-]+)+\z/]         $config_dir        = '/etc/rosterd',
  Pattern[/\A\/[A-Za-z0-9._\/-]+\z/]          $command           = '/usr/bin/rosterd',
  Boolean                                     $manage_package    = true,
  String[1]                                   $package_name      = 'rosterd',
  String[1]                                   $package_ensure    = 'installed',
  Boolean                                     $manage_service    = true,
  Variant[Boolean, Enum['running','stopped']] $service_ensure    = 'running',
  Boolean                                     $service_enable    = true,
) {
  contain rosterd::agent

  if $manage_package {
    package { 'rosterd':
      ensure => $package_ensure,
      name   => $package_name,
      before => [File[$config_dir], Class['rosterd::agent']],
    }
  }

  file { [$config_dir, "${config_dir}/templates"]:
    ensure => directory,
    mode   => '0755',
  }

  file { "${config_dir}/puppet.d":
    ensure  => directory,
    mode    => '0755',
    recurse => true,
    purge   => true,
    notify  => Class['rosterd::agent'],
  }

  if $registry {
    $tables = { 'registry' => { 'url' => $registry } + $registry_settings } + $settings
    $text = $tables.map |$table, $values| { rosterd::toml("[${table}]", $values) }
    file { "${config_dir}/rosterd.toml":
      ensure       => file,
      mode         => '0644',
      content      => "# Managed by Puppet.\ninclude = [\"conf.d/*.toml\", \"puppet.d/*.toml\"]\n\n${text.join("\n")}",
      # The patterns of the parameters leave nothing that a shell would interpret.
      validate_cmd => "${command} -c % check",
      notify       => Class['rosterd::agent'],
    }
  }

  create_resources('rosterd::roster', $rosters)
  create_resources('rosterd::template', $templates)
  create_resources('rosterd::service', $services)
}

# @summary Runs the agent. A change of its configuration is a reload, all or nothing, not a restart.
#
# @api private
class rosterd::agent {
  if $rosterd::manage_service {
    service { 'rosterd':
      ensure  => $rosterd::service_ensure,
      enable  => $rosterd::service_enable,
      restart => 'systemctl reload-or-restart rosterd.service',
    }
  }
}

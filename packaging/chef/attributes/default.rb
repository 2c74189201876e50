# frozen_string_literal: true

# The program.
default['rosterd']['command'] = '/usr/bin/rosterd'
# The agent's configuration file. It is used where `registry` is nil.
default['rosterd']['config'] = '/etc/rosterd/rosterd.toml'
# The directory of the agent's configuration for rosterd_service.
default['rosterd']['conf_dir'] = '/etc/rosterd/conf.d'
# Where rosterd_template remembers the members between the runs of Chef.
default['rosterd']['state_dir'] = '/var/lib/rosterd-chef'
# The URL of the registry: zk://zk1:2181,zk2:2181/chroot
default['rosterd']['registry'] = nil
# How long to wait for the registry.
default['rosterd']['timeout'] = '30s'
# Where provide_service registers services, and where all_providers_for_service looks for them.
default['rosterd']['services'] = '/services'

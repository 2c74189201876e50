# frozen_string_literal: true

# A service of this host that the agent registers in ZooKeeper while its check passes: a file with a [[service]] table
# in the agent's configuration. Let it notify the agent's service resource.

provides :rosterd_service
unified_mode true

property :service_name, String, name_property: true
property :path, String
property :port, Integer
# The host in the node. Default: the full name of this host.
property :host, String
# { 'tcp' => '127.0.0.1:80' }, { 'cmd' => ['pgrep', 'memcached'] }, or another check of rosterd.
property :check, Hash
property :data, Hash, default: {}
# Further keys of [[service]], such as { 'interval' => '10s', 'fall' => 1 }.
property :options, Hash, default: {}
property :conf_dir, String, default: lazy { node['rosterd']['conf_dir'] }
property :command, String, default: lazy { node['rosterd']['command'] }

action :create do
  path = config_file
  text = configuration
  # With why-run, rosterd may not be installed yet.
  check_with_rosterd(text) unless Chef::Config[:why_run]
  directory new_resource.conf_dir do
    recursive true
  end
  file path do
    content text
    mode '0644'
  end
end

action :delete do
  file config_file do
    action :delete
  end
end

action_class do
  def config_file
    name = new_resource.service_name
    raise ArgumentError, "#{name.inspect} cannot be part of a file name" unless name.match?(/\A[A-Za-z0-9._-]+\z/)

    ::File.join(new_resource.conf_dir, "service-#{name}.toml")
  end

  def configuration
    %i[path port check].each do |name|
      raise ArgumentError, "#{new_resource} needs #{name}" if new_resource.public_send(name).nil?
    end
    # As text, the keys of the data keep their order.
    data = new_resource.data.empty? ? nil : JSON.generate(new_resource.data)
    service = {
      'name' => new_resource.service_name, 'path' => new_resource.path, 'host' => new_resource.host,
      'port' => new_resource.port, 'check' => new_resource.check, 'data' => data
    }.merge(new_resource.options)
    "# Written by Chef.\n#{Rosterd.table('[[service]]', service)}"
  end

  # The file is replaced only if rosterd accepts it.
  def check_with_rosterd(text)
    registry = { 'url' => 'zk://localhost', 'name' => new_resource.options['registry'] }
    Rosterd.with_config(Rosterd.table('[registry]', registry) + text) do |file|
      Rosterd.run(new_resource.command, ['-c', file, 'check'])
    end
  end
end

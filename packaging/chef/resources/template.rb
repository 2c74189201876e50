# frozen_string_literal: true

# A file that rosterd renders once in each run of Chef.

provides :rosterd_template
unified_mode true

# The file; without `source`, the name of a template in the agent's configuration.
property :path, String, name_property: true
# A Tera template on this host. Without it, the agent's configuration has the template.
property :source, String
# The variables of the template that are rosters: { 'web' => '/services/web' }, or with more keys of [[roster]]:
# { 'web' => { 'path' => '/services/web', 'min' => 2 } }.
property :rosters, Hash, default: {}
# The other variables, as vars.NAME.
property :vars, Hash, default: {}
# A URL, or the keys of [registry].
property :registry, [String, Hash], default: lazy { node['rosterd']['registry'] }
property :mode, String
property :owner, [String, Integer]
property :group, [String, Integer]
# A command that checks the new file, as a list: ['haproxy', '-c', '-f', '{{ src }}']. No shell runs it.
property :check_cmd, Array
property :timeout, String, default: lazy { node['rosterd']['timeout'] }
# Remembers the members between the runs, for max_shrink and slots.
property :state_dir, String, default: lazy { node['rosterd']['state_dir'] }
property :command, String, default: lazy { node['rosterd']['command'] }
# The agent's configuration.
property :config, String, default: lazy { node['rosterd']['config'] }

action :create do
  with_config_file do |file|
    render = ['-c', file, 'render', "--timeout=#{new_resource.timeout}", '--detailed-exitcode']
    render += ['--', new_resource.path] unless new_resource.source
    dry = render.dup.insert(3, '--dry-run', '--diff')
    # 2: the file differs.
    diff, code = Rosterd.run(new_resource.command, dry, expected: [0, 2])
    if code == 2
      diff = [] if new_resource.sensitive
      converge_by(["render #{new_resource.path}", *diff.lines(chomp: true)]) do
        Rosterd.run(new_resource.command, render, expected: [0, 2])
      end
    end
  end
end

action_class do
  # Yields the configuration file: the agent's, or a temporary one with this template only.
  def with_config_file(&block)
    return yield(new_resource.config) unless new_resource.source

    leave_to_agent
    Rosterd.with_config(configuration, &block)
  end

  def configuration
    registry = new_resource.registry
    raise ArgumentError, "#{new_resource} needs a registry" unless registry

    dest = ::File.expand_path(new_resource.path)
    # Short, because the path of a socket has at most 107 bytes.
    state = ::File.join(new_resource.state_dir, Digest::SHA256.hexdigest(dest)[0, 16])
    template = { 'src' => ::File.expand_path(new_resource.source), 'dest' => dest }
    %w[mode owner group check_cmd].each { |key| template[key] = new_resource.public_send(key) }
    rosters = new_resource.rosters.map do |name, roster|
      { 'name' => name.to_s }.merge(roster.is_a?(Hash) ? roster : { 'path' => roster })
    end
    [
      Rosterd.table('[agent]', 'state_dir' => state),
      Rosterd.table('[status]', 'socket' => ::File.join(state, 'socket')),
      Rosterd.table('[registry]', registry.is_a?(Hash) ? registry : { 'url' => registry }),
      Rosterd.table('[vars]', new_resource.vars),
      *rosters.map { |roster| Rosterd.table('[[roster]]', roster) },
      Rosterd.table('[[template]]', template)
    ].join
  end

  # Two writers of one file would undo each other's changes.
  def leave_to_agent
    args = ::File.exist?(new_resource.config) ? ['-c', new_resource.config] : []
    # 69: no agent answers.
    status, code = Rosterd.run(new_resource.command, args + ['status', '--json'], expected: [0, 69])
    return unless code.zero?

    path = ::File.expand_path(new_resource.path)
    template = JSON.parse(status)['templates'].find { |one| one['dest'] == path }
    return unless template

    raise Rosterd::Error, "the running agent writes #{path}: write rosterd_template '#{template['name']}' without " \
                          'source, which asks the agent'
  end
end

# frozen_string_literal: true

require 'digest'
require 'fileutils'
require 'json'
require_relative '../../../puppet_x/rosterd/cli'

# @summary Returns the members of a path in the registry, sorted by name.
#
# The catalog fails if there are fewer than `min` members, or if the registry is not reached and the cache has no
# usable answer. The list is never shorter than `min`, and an outage never gives an empty list. The error names the
# path, the number of members and `min`.
#
# The function runs `rosterd get` where it is evaluated: on the server that compiles the catalog, or with `Deferred` on
# the agent's host. Warnings, such as a stale answer or a member that is left out, go to Puppet's log.
#
# The hiera keys `rosterd::registry` and `rosterd::command` are the defaults of these two options, and
# `rosterd::zkget_options` is a hash of defaults for all options. Hiera is not available to `Deferred`.
Puppet::Functions.create_function(:'rosterd::zkget') do
  local_types do
    type "ZkgetOptions = Struct[{
      Optional['registry'] => Pattern[/\\A(zk|zks|dir):/],
      Optional['config']   => Pattern[/\\A\\//],
      Optional['format']   => Enum['names', 'members'],
      Optional['cache']    => Variant[Boolean[false], Pattern[/\\A\\//]],
      Optional['timeout']  => Variant[Integer[1], Pattern[/\\A\\d+(ms|s|m|h)\\z/]],
      Optional['command']  => Pattern[/\\A\\//],
    }]"
  end

  # @param path The path whose children are the members.
  # @param min With fewer members, the catalog fails. 0 allows an empty list. Default: 1.
  # @param max The first `max` members by name. Default: all.
  # @param options
  #   `registry`: the URL, such as `zk://zk1:2181,zk2:2181`. Default: the hiera key `rosterd::registry`, else the
  #   configuration of the host.
  #   `config`: a configuration file of rosterd, for the credentials of the registry. Default: with a registry, none.
  #   `format`: `names` (default), or `members` for a list of hashes.
  #   `cache`: a file for the last good answer, which is used for up to 48 hours, or `false`. Default: a file below
  #   Puppet's `vardir`.
  #   `timeout`: how long to wait for the registry, as seconds or text. Default: `10s`.
  #   `command`: the program. Default: the hiera key `rosterd::command`, else `/usr/bin/rosterd`.
  # @return The members: names, or hashes with the format `members`.
  # @example The first five members
  #   $servers = rosterd::zkget('/services/production/memcached', 2, 5)
  # @example On the agent's host, when the catalog is applied
  #   $servers = Deferred('rosterd::zkget', ['/services/production/memcached', 2, 5])
  dispatch :zkget do
    param 'Pattern[/\A\/[^*]*\z/]', :path
    optional_param 'Integer[0]', :min
    optional_param 'Integer[1]', :max
    optional_param 'ZkgetOptions', :options
    return_type 'Array[Variant[String[1], Hash[String, Any]]]'
  end

  def zkget(path, min = 1, max = nil, options = {})
    options = defaults.merge(options)
    argv = arguments(path, min, max, options)
    result = PuppetX::Rosterd::Cli.run(options['command'], *argv)
    messages = result.err.lines.map { |line| line.chomp.delete_prefix('rosterd: ') }
    unless result.code&.zero?
      reason = messages.empty? ? "#{options['command']} ended with #{result.code || 'a signal'}" : messages.join('; ')
      raise Puppet::Error, "zkget: #{reason}"
    end
    messages.each { |message| Puppet.warning("zkget: #{message}") }
    JSON.parse(result.out)
  rescue JSON::ParserError => e
    raise Puppet::Error, "zkget: #{options['command']} did not print a list for #{path}: #{e.message}"
  end

  def arguments(path, min, max, options)
    timeout = options['timeout']
    argv = ['get', path, '--min', min.to_s, '--timeout', timeout.is_a?(Integer) ? "#{timeout}s" : timeout]
    argv += ['--format', options['format'] == 'members' ? 'members' : 'json']
    argv += ['--max', max.to_s] if max
    argv += ['--registry', options['registry']] if options['registry']
    argv += ['-c', options['config']] if options['config']
    cache = options.fetch('cache') { default_cache(path, options) }
    argv += ['--cache', cache] if cache
    argv
  end

  # One file for each registry and path, because compilations run side by side.
  def default_cache(path, options)
    dir = File.join(Puppet[:vardir], 'rosterd')
    FileUtils.mkdir_p(dir, mode: 0o700)
    id = Digest::SHA256.hexdigest([options['registry'], options['config'], path].inspect)[0, 16]
    File.join(dir, "get-#{id}.json")
  rescue SystemCallError => e
    Puppet.warning("zkget: answers are not cached: #{e.message}")
    nil
  end

  def defaults
    found = { 'command' => '/usr/bin/rosterd', 'timeout' => '10s' }
    %w[registry command].each do |name|
      value = hiera("rosterd::#{name}")
      found[name] = value if value
    end
    found.merge(hiera('rosterd::zkget_options') || {})
  end

  # Deferred functions have no hiera: only a compiler of catalogs does.
  def hiera(key)
    scope = closure_scope
    return nil unless scope.respond_to?(:compiler) && scope.compiler.is_a?(Puppet::Parser::Compiler)

    call_function('lookup', { 'name' => key, 'default_value' => nil })
  end
end

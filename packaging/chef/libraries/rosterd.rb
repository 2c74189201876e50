# frozen_string_literal: true

require 'digest'
require 'json'
require 'net/http'
require 'open3'
require 'timeout'
require 'tmpdir'
require 'uri'

# Runs rosterd and returns its answers. No argument is read by a shell.
module Rosterd
  # A command that failed, with its exit code and the messages of rosterd.
  class Error < StandardError
    attr_reader :code

    def initialize(message, code = nil)
      super(message)
      @code = code
    end
  end

  # Exit code 3: too few members, or members that are held.
  class TooFewMembers < Error; end

  # Exit code 4: the registry was not reached in time, or cannot be used.
  class Unreachable < Error; end

  # Exhibitor did not answer with a list of servers.
  class ExhibitorError < Error; end

  FAILURES = { 3 => TooFewMembers, 4 => Unreachable }.freeze
  GET_OPTIONS = %i[registry timeout format payload wait_for cache cache_max_age].freeze
  EXHIBITOR_PATH = '/exhibitor/v1/cluster/list'
  # For the whole answer of Exhibitor, in seconds and bytes.
  EXHIBITOR_TIME = 10
  EXHIBITOR_SIZE = 1 << 20
  HOST = /\A(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)\z/.freeze

  module_function

  # Runs a command of rosterd. Returns its output and its exit code, or raises if the code is not one of `expected`.
  def run(command, args, expected: [0])
    environment = { 'ROSTERD_LOG' => 'warn' }
    out, err, status = Open3.capture3(environment, [command, command], *args.map(&:to_s), stdin_data: '')
    out, err = [out, err].map { |text| text.force_encoding(Encoding::UTF_8).scrub }
    code = status.exitstatus
    unless expected.include?(code)
      text = err.strip.empty? ? "#{command} ended with #{status}" : err.strip
      raise FAILURES.fetch(code, Error).new(text, code)
    end
    err.each_line(chomp: true) { |line| Chef::Log.warn(line) } if code.zero?
    [out, code]
  rescue SystemCallError => e
    raise Error, "#{command} cannot be run: #{e.message}"
  end

  # The members of a path. Raises if there is no answer, or fewer than `min` members.
  def members(path, command:, min: 1, max: nil, config: nil, **options)
    unknown = options.keys - GET_OPTIONS
    raise ArgumentError, "rosterd_members has no option #{unknown.join(', ')}" unless unknown.empty?

    options = { format: 'json' }.merge(options.compact)
    raise ArgumentError, "format: 'json' or 'members'" unless %w[json members].include?(options[:format])

    args = options[:registry] || config.nil? ? [] : ['-c', config]
    args += ['get', "--min=#{Integer(min)}"]
    args << "--max=#{Integer(max)}" if max
    args += options.map { |name, value| "--#{name.to_s.tr('_', '-')}=#{value}" }
    out, = run(command, args + ['--', path])
    JSON.parse(out)
  end

  # When a provider was registered, as digits: the `timestamp` of its data, else the `created` that rosterd,
  # zk_watcher and nd_service_registry write. Empty if neither is there.
  def registered_at(member)
    (member['timestamp'] || member['created']).to_s.delete('^0-9')
  end

  # The servers that one of the Exhibitors names: { 'servers' => ['10.0.0.1'], 'port' => 2181 }.
  def exhibitor(urls)
    failures = Array(urls).map do |url|
      return exhibitor_list(url)
    rescue StandardError => e
      "#{url}: #{e.message}"
    end
    raise ExhibitorError, "no Exhibitor has a list of servers: #{failures.join('; ')}"
  end

  # The list of one Exhibitor. The path of the URL is ignored.
  def exhibitor_list(url)
    list = JSON.parse(Timeout.timeout(EXHIBITOR_TIME) { exhibitor_body(URI.parse(url)) })
    servers, port = list.is_a?(Hash) ? list.values_at('servers', 'port') : nil
    raise Error, 'the list names no servers' unless servers.is_a?(Array) && !servers.empty?
    raise Error, 'the list has an invalid server' unless servers.all? { |host| HOST.match?(host.to_s) }
    raise Error, "the list has the port #{port.inspect}" unless port.is_a?(Integer) && port.between?(1, 65_535)

    { 'servers' => servers, 'port' => port }
  end

  def exhibitor_body(uri)
    raise Error, 'not an http URL' unless uri.is_a?(URI::HTTP)

    # Exhibitor is a neighbour: no proxy.
    http = Net::HTTP.new(uri.hostname, uri.port, nil)
    http.use_ssl = uri.scheme == 'https'
    http.open_timeout = http.read_timeout = 3
    http.max_retries = 0
    body = +''
    http.request_get(EXHIBITOR_PATH, 'Accept' => 'application/json') do |answer|
      raise Error, "status #{answer.code}" unless answer.code == '200'

      answer.read_body do |part|
        body << part
        raise Error, "the answer is larger than #{EXHIBITOR_SIZE} bytes" if body.bytesize > EXHIBITOR_SIZE
      end
    end
    body
  end

  # Writes a value in the syntax of TOML, whose strings, numbers and lists are those of JSON. nil is left out.
  def toml(value)
    case value
    when Hash then "{ #{pairs(value).join(', ')} }"
    when Array then "[#{value.map { |item| toml(item) }.join(', ')}]"
    when Symbol then value.to_s.to_json
    when String, Integer, Float, true, false then value.to_json
    else raise ArgumentError, "#{value.inspect} cannot be written as TOML"
    end
  end

  def pairs(hash)
    hash.reject { |_, value| value.nil? }.map do |key, value|
      # rosterd runs a string with sh, and a list without a shell.
      if %w[cmd check_cmd data_cmd].include?(key.to_s) && value.is_a?(String)
        raise ArgumentError, "#{key}: write a list, such as #{value.split.inspect}"
      end
      key = key.to_s.match?(/\A[A-Za-z0-9_-]+\z/) ? key : key.to_s.to_json
      "#{key} = #{toml(value)}"
    end
  end

  # A table of a configuration file.
  def table(header, hash)
    "#{header}\n#{pairs(hash).map { |line| "#{line}\n" }.join}\n"
  end

  # Yields the path of a temporary configuration file.
  def with_config(text)
    Dir.mktmpdir('rosterd-chef-') do |dir|
      path = File.join(dir, 'rosterd.toml')
      File.write(path, text)
      yield path
    end
  end

  # The methods for recipes and resources.
  module Helpers
    # The names of the members at a path, in bytewise order. Raises Rosterd::TooFewMembers with fewer than `min`, and
    # Rosterd::Unreachable if the registry does not answer. With `format: 'members'`, a hash for each member.
    def rosterd_members(path, min: 1, max: nil, **options)
      defaults = %w[command config registry timeout].to_h { |name| [name.to_sym, node['rosterd'][name]] }
      Rosterd.members(path, min: min, max: max, **defaults, **options)
    end

    # The members that provide a service, each a hash; the last one was registered last. Raises, and never returns an
    # empty list, if the members are unknown or fewer than `min`.
    def all_providers_for_service(service_name, min: 1, **options)
      path = options.delete(:path) || "#{node['rosterd']['services']}/#{service_name}"
      members = rosterd_members(path, min: min, format: 'members', **options)
      members.sort_by { |member| [Rosterd.registered_at(member), member['name']] }
    end

    # The provider that was registered last.
    def provider_for_service(service_name, **options)
      all_providers_for_service(service_name, **options).last
    end

    # Lets the agent of this host register a service while it answers at its port. `service_info` has the port, and may
    # have the host, the check and the path. Everything else becomes the data of the node. Returns the resource.
    def provide_service(service_name, service_info = {})
      info = service_info.to_h { |key, value| [key.to_s, value] }
      raise ArgumentError, "provide_service: #{service_name} has no port" unless info['port']

      directory = node['rosterd']['services']
      rosterd_service service_name.to_s do
        path info['path'] || "#{directory}/#{service_name}"
        host info['host'] if info['host']
        port info['port']
        check info['check'] || { 'tcp' => "127.0.0.1:#{info['port']}" }
        data info.reject { |key, _| %w[path host port check].include?(key) }
      end
    end

    # The servers that Exhibitor names, for zk_connect_str. With several URLs, the first that answers counts. Raises
    # Rosterd::ExhibitorError.
    def discover_zookeepers(urls)
      Rosterd.exhibitor(urls)
    end

    # The connection string HOST:PORT,…/CHROOT of a list of servers: what discover_zookeepers returns, or an array. The
    # order is kept.
    def zk_connect_str(servers, chroot = nil)
      servers = { 'servers' => servers, 'port' => 2181 } if servers.is_a?(Array)
      hosts, port = servers.values_at('servers', 'port')
      raise ArgumentError, 'zk_connect_str: no servers' if hosts.nil? || hosts.empty?

      hosts = hosts.map { |host| host.match?(/\A[^:]+:\d+\z|\]:\d+\z/) ? host : "#{host}:#{port}" }
      chroot = chroot.to_s.delete_prefix('/')
      hosts.join(',') + (chroot.empty? ? '' : "/#{chroot}")
    end
  end
end

[Chef::Recipe, Chef::Resource, Chef::Provider].each { |type| type.include(Rosterd::Helpers) }

# frozen_string_literal: true

require 'fileutils'
require 'tmpdir'
require_relative '../../../puppet_x/rosterd/cli'

Puppet::Type.type(:rosterd_template).provide(:rosterd) do
  desc 'Runs rosterd.'

  # What differs: the paths of the template and its table, or the name of the rendered file.
  attr_reader :changes

  # `:current`, or `:outdated` if a file differs. Fails if that cannot be found out. It changes nothing, except that it
  # retries the reload of an earlier run.
  def state
    @changes = files.reject { |path, text| File.file?(path) && File.binread(path) == text.b }.keys
    return staged_state unless @changes.empty?

    dry_run(resource[:config_dir])
    if @changes.empty? && !resource.noop?
      # A dry run does not report a pending reload. Any other failure would have failed the dry run, or is a pause.
      retried = rosterd(resource[:config_dir], 'render', resource[:name], '--timeout', resource[:timeout])
      failed('render', retried) unless [0, 3, 4].include?(retried.code)
    end
    @changes.empty? ? :current : :outdated
  end

  def render
    files.each do |path, text|
      Puppet::Util.replace_file(path, 0o644) { |file| file.binmode && file.write(text) } if @changes.include?(path)
    end
    rendered = rosterd(resource[:config_dir], 'render', resource[:name], '--diff', *options)
    show(rendered)
    failed('render', rendered) unless rendered.code&.zero?
  end

  private

  # The files of this resource. The template is first, because its table requires it.
  def files
    dir = resource[:config_dir]
    file = resource[:file_name]
    { "#{dir}/templates/#{file}.tera" => resource[:content],
      "#{dir}/puppet.d/template-#{file}.toml" => resource[:config] }
  end

  # The state if the template is new: checked in a copy of the configuration directory. With noop, rosterd and its
  # configuration may be missing, because other resources would install them.
  def staged_state
    return :outdated if resource.noop? && !installed?
    return :outdated unless resource.validate? || resource.noop?

    # Beside the directory, so that relative links in it lead to the same files.
    Dir.mktmpdir('.rosterd-check-', File.dirname(resource[:config_dir])) do |dir|
      stage(dir)
      checked = rosterd(dir, 'check')
      failed('check', checked, dir) if resource.validate? && !checked.code&.zero?
      dry_run(dir) if resource.noop? && checked.code&.zero?
    end
    :outdated
  end

  def installed?
    File.executable?(resource[:command]) && File.file?("#{resource[:config_dir]}/rosterd.toml")
  end

  def stage(dir)
    FileUtils.cp_r("#{resource[:config_dir]}/.", dir, preserve: true)
    files.each do |path, text|
      staged = path.sub(resource[:config_dir], dir)
      FileUtils.mkdir_p(File.dirname(staged))
      File.binwrite(staged, text)
    end
  end

  # Notes whether the rendered file would change, and shows the difference with noop.
  def dry_run(dir)
    result = rosterd(dir, 'render', resource[:name], '--dry-run', '--diff', '--detailed-exitcode', *options)
    case result.code
    when 0 then return
    when 2 then @changes += ['the rendered file']
    else failed('render --dry-run', result, dir)
    end
    show(result) if resource.noop?
  end

  def show(diff)
    resource.send_log(:notice, "\n#{diff.out}") if Puppet[:show_diff] && resource.show_diff? && !diff.out.empty?
  end

  def options
    ['--timeout', resource[:timeout], *(['--held-ok'] if resource.held_ok?)]
  end

  def rosterd(dir, *args)
    PuppetX::Rosterd::Cli.run(resource[:command], '-c', "#{dir}/rosterd.toml", *args)
  end

  def failed(what, result, dir = resource[:config_dir])
    reason = result.err.strip.gsub(dir, resource[:config_dir])
    raise Puppet::Error, "rosterd #{what} ended with #{result.code || 'a signal'}: #{reason}"
  end
end

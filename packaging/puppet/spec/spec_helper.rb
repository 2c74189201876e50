# frozen_string_literal: true

require 'fileutils'
require 'tmpdir'
require 'rspec-puppet'

# Puppet finds a module by the name of its directory.
modules = Dir.mktmpdir('rosterd-spec-')
at_exit { FileUtils.remove_entry(modules) }
{ 'rosterd' => '..', 'zk_watcher' => '../../puppet-zk_watcher' }.each do |name, source|
  File.symlink(File.expand_path(source, __dir__), File.join(modules, name))
end

RSpec.configure do |config|
  config.module_path = modules
  # It would link the module into its own directory.
  config.setup_fixtures = false
  config.default_facts = { 'os' => { 'family' => 'Debian' } }
end

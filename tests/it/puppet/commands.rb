# Runs Puppet's commands, each in a fork of this process, because loading Puppet and Facter takes several seconds.
# Each line of standard input is a JSON list of the arguments and the file for the output. The exit code is printed.
require 'json'
require 'facter'
require 'puppet'
require 'puppet/application/apply'
require 'puppet/util/command_line'
# What every run would load and ask again.
Puppet::Type.type(:package).defaultprovider
%w[fqdn ipaddress].each { |fact| Facter.value(fact) }
$stdout.sync = true
$stdin.each_line do |line|
  args, output = JSON.parse(line)
  pid = fork do
    $stdin.reopen(File::NULL)
    $stdout.reopen(output, 'w')
    $stderr.reopen($stdout)
    Puppet::Util::CommandLine.new('puppet', args).execute
  end
  puts Process.wait2(pid).last.exitstatus || -1
end

# frozen_string_literal: true

require 'spec_helper'

file = '/etc/rosterd/puppet.d/service-memcached.toml'
table = <<~TOML
  # Managed by Puppet.
  [[service]]
  name = "memcached"
  path = "/services/memcached"
  port = 11211
TOML

describe 'rosterd::service' do
  let(:title) { 'memcached' }
  let(:required) { { 'port' => 11_211, 'path' => '/services/memcached' } }

  context 'with a list and a hash' do
    let(:params) do
      required.merge('cmd' => ['sh', '-c', 'a | b'], 'data' => { 'weight' => 5 }, 'settings' => { 'fall' => 3 })
    end

    it {
      is_expected.to contain_file(file).with_content(<<~TOML).that_notifies('Service[rosterd]')
        #{table.chomp}
        data = { weight = 5 }
        check = { cmd = ["sh", "-c", "a | b"] }
        interval = "30s"
        timeout = "90s"
        fall = 3
      TOML
    }
  end

  context 'with a check of another kind' do
    let(:params) { required.merge('settings' => { 'check' => { 'tcp' => '127.0.0.1:11211' } }) }

    it { is_expected.to contain_file(file).with_content(/^check = { tcp = "127.0.0.1:11211" }$/) }
  end

  context 'without a check' do
    let(:params) { required }

    it { is_expected.to compile.and_raise_error(/neither cmd nor a check/) }
  end
end

describe 'zk_watcher::add' do
  let(:title) { 'memcached' }

  # A text of data, and a list as the old template required on later Rubies.
  ['zone=a,user=b', ['zone=a', 'user=b']].each do |data|
    context "with #{data}" do
      let(:params) do
        { 'port' => '11211', 'path' => '/services/memcached', 'cmd' => 'pgrep  -f memcached; reboot', 'data' => data,
          'refresh' => '60' }
      end

      it {
        is_expected.to contain_file(file).with_content(<<~TOML)
          #{table.chomp}
          data = "zone=a,user=b"
          check = { cmd = ["pgrep", "-f", "memcached;", "reboot"] }
          interval = "60s"
          timeout = "90s"
          fall = 1
        TOML
      }
    end
  end
end

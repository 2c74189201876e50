# frozen_string_literal: true

require 'spec_helper'

describe 'rosterd' do
  context 'with a registry' do
    let(:params) do
      { 'registry' => 'zk://zk1:2181', 'registry_settings' => { 'tls' => { 'ca' => "/a\"\\\u007f" } },
        'settings' => { 'vars' => { 'ports' => [1, 2], 'a b' => true } },
        'rosters' => { 'web' => { 'path' => '/services/web', 'min' => 2 } } }
    end

    it { is_expected.to compile.with_all_deps }
    it { is_expected.to contain_package('rosterd').that_comes_before('Service[rosterd]') }

    it {
      is_expected.to contain_service('rosterd')
        .with('ensure' => 'running', 'enable' => true, 'restart' => 'systemctl reload-or-restart rosterd.service')
        .that_subscribes_to(['File[/etc/rosterd/rosterd.toml]', 'File[/etc/rosterd/puppet.d]',
                             'File[/etc/rosterd/puppet.d/roster-web.toml]'])
    }

    it {
      is_expected.to contain_file('/etc/rosterd/rosterd.toml')
        .with('validate_cmd' => '/usr/bin/rosterd -c % check')
        .with_content(<<~'TOML')
          # Managed by Puppet.
          include = ["conf.d/*.toml", "puppet.d/*.toml"]

          [registry]
          url = "zk://zk1:2181"
          tls = { ca = "/a\"\\\u007f" }

          [vars]
          ports = [1, 2]
          "a b" = true
        TOML
    }

    it {
      is_expected.to contain_file('/etc/rosterd/puppet.d/roster-web.toml').with_content(
        "# Managed by Puppet.\n[[roster]]\nname = \"web\"\npath = \"/services/web\"\nmin = 2\n",
      )
    }

    it { is_expected.to contain_file('/etc/rosterd/puppet.d').with('purge' => true, 'recurse' => true) }
  end

  context 'without a registry, a package and a service' do
    let(:params) { { 'manage_package' => false, 'manage_service' => false } }

    it { is_expected.to compile.with_all_deps }
    it { is_expected.not_to contain_file('/etc/rosterd/rosterd.toml') }
    it { is_expected.not_to contain_package('rosterd') }
    it { is_expected.not_to contain_service('rosterd') }
  end

  ['zk1:2181', 'zk1; reboot'].each do |url|
    context "with the registry #{url}" do
      let(:params) { { 'registry' => url } }

      it { is_expected.to compile.and_raise_error(/registry/) }
    end
  end

  context 'with a directory that a shell would interpret' do
    let(:params) { { 'config_dir' => '/etc/$(reboot)' } }

    it { is_expected.to compile.and_raise_error(/config_dir/) }
  end
end

describe 'zk_watcher' do
  it { is_expected.to compile.with_all_deps }
  it { is_expected.to contain_class('rosterd') }
end

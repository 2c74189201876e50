# frozen_string_literal: true

require 'puppet/parameter/boolean'

Puppet::Type.newtype(:rosterd_template) do
  @doc = <<~DOC
    A template of rosterd, and the file that is rendered from it. Use the define `rosterd::template`, which writes the
    configuration of the template.

    The resource changes only if the template, its configuration or the bytes of the rendered file change. Template and
    configuration are put in place together, after `rosterd check` has accepted them with the rest of the
    configuration. The file is written by `rosterd render`, which asks a running agent to do it. A reload that failed
    in an earlier run is retried.

    With noop, nothing is written. The new template is checked, and the difference of the rendered file is shown.

    **Autorequires:** the files in `config_dir`, and the package `rosterd`.
  DOC

  newparam(:name, namevar: true) do
    desc 'The name of the template in the configuration of rosterd.'
    newvalues(%r{\A[A-Za-z0-9/][^\s]*\z})
  end

  newparam(:content) do
    desc 'The text of the template.'
  end

  newparam(:config) do
    desc 'The `[[template]]` table, as TOML.'
  end

  newparam(:file_name) do
    desc 'The template is `templates/FILE_NAME.tera`, and its table `puppet.d/template-FILE_NAME.toml`.'
    newvalues(/\A[A-Za-z0-9._-]+\z/)
  end

  newparam(:config_dir) do
    desc 'The directory of rosterd.toml.'
    newvalues(%r{\A/})
    defaultto '/etc/rosterd'
  end

  newparam(:command) do
    desc 'The program.'
    newvalues(%r{\A/})
    defaultto '/usr/bin/rosterd'
  end

  newparam(:timeout) do
    desc 'How long to wait for registries and commands.'
    newvalues(/\A\d+(ms|s|m|h)\z/)
    defaultto '30s'
  end

  newparam(:validate, boolean: true, parent: Puppet::Parameter::Boolean) do
    desc 'Whether to check the template and its configuration before they are put in place.'
    defaultto true
  end

  newparam(:held_ok, boolean: true, parent: Puppet::Parameter::Boolean) do
    desc 'Whether too few members, which leave the file as it is, are not a failure.'
    defaultto false
  end

  newparam(:show_diff, boolean: true, parent: Puppet::Parameter::Boolean) do
    desc "Whether to show the difference of the rendered file. Puppet's setting `show_diff` applies too."
    defaultto true
  end

  newproperty(:ensure) do
    desc 'The file shows the current members.'
    newvalue(:current) { provider.render }
    defaultto :current

    def retrieve
      provider.state
    end

    def change_to_s(_current, _desired)
      "changed #{provider.changes.join(', ')}"
    end
  end

  autorequire(:file) do
    below = "#{self[:config_dir].chomp('/')}/"
    files = catalog.resources.select { |resource| resource.type == :file && resource[:path].start_with?(below) }
    [self[:config_dir].chomp('/'), *files.map { |file| file[:path] }]
  end

  autorequire(:package) { 'rosterd' }
end

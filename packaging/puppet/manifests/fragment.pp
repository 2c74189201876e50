# @summary A file of configuration in `puppet.d`.
#
# @api private
#
# @param content
#   The text of the file.
define rosterd::fragment (
  String[1] $content,
) {
  include rosterd

  $file = regsubst($title, '[^A-Za-z0-9._-]', '_', 'G')
  file { "${rosterd::config_dir}/puppet.d/${file}.toml":
    ensure  => file,
    mode    => '0644',
    content => "# Managed by Puppet.\n${content}",
    notify  => Class['rosterd::agent'],
  }
}

# @summary A file that is rendered from the members of rosters.
#
# The resource changes only if bytes change. If the agent runs, it writes the file, on Puppet's request; otherwise
# `rosterd render` does. If there are too few members, or the registry is not reached, the file stays as it is, and the
# resource fails. With noop, the new template is checked, and the difference of the rendered file is shown.
#
# A template that is no longer declared is no longer rendered. Its file stays.
#
# @param dest
#   The file to write.
# @param content
#   The text of the template.
# @param template_name
#   The name for `rosterd render` and in messages. Default: the title.
# @param check_cmd
#   The command that checks the new file before it replaces the old one. A list runs without a shell.
# @param reload_cmd
#   The command that runs after the replacement; or a signal, as a hash.
# @param owner
#   The owner of the file. Default: that of the existing file.
# @param group
#   The group of the file. Default: that of the existing file.
# @param mode
#   The mode of the file. Default: that of the existing file.
# @param settings
#   Other keys of `[[template]]`.
# @param validate
#   Whether to check the template and its configuration before they are put in place.
# @param held_ok
#   Whether too few members are not a failure.
# @param show_diff
#   Whether to show the difference of the rendered file.
# @param timeout
#   How long to wait for registries and commands.
#
# @example
#   rosterd::template { 'haproxy.cfg':
#     dest       => '/etc/haproxy/haproxy.cfg',
#     content    => file('profile/haproxy.cfg.tera'),
#     check_cmd  => ['haproxy', '-c', '-f', '{{ src }}'],
#     reload_cmd => ['systemctl', 'try-reload-or-restart', 'haproxy'],
#   }
define rosterd::template (
  Pattern[/\A\//]                                                          $dest,
  String                                                                   $content,
  Pattern[/\A[A-Za-z0-9\/]\S*\z/]                                          $template_name = $title,
  Optional[Variant[String[1], Array[String[1], 1]]]                        $check_cmd     = undef,
  Optional[Variant[String[1], Array[String[1], 1], Hash[String[1], Any]]]  $reload_cmd    = undef,
  Optional[Variant[String[1], Integer[0]]]                                 $owner         = undef,
  Optional[Variant[String[1], Integer[0]]]                                 $group         = undef,
  Optional[Pattern[/\A[0-7]{3,4}\z/]]                                      $mode          = undef,
  Hash[String[1], Any]                                                     $settings      = {},
  Boolean                                                                  $validate      = true,
  Boolean                                                                  $held_ok       = false,
  Boolean                                                                  $show_diff     = true,
  Pattern[/\A\d+(ms|s|m|h)\z/]                                             $timeout       = '30s',
) {
  include rosterd

  $file = regsubst($template_name, '[^A-Za-z0-9._-]', '_', 'G')
  $values = {
    'name'       => $template_name,
    'src'        => "${file}.tera",
    'dest'       => $dest,
    'check_cmd'  => $check_cmd,
    'reload_cmd' => $reload_cmd,
    'owner'      => $owner,
    'group'      => $group,
    'mode'       => $mode,
  }

  rosterd_template { $template_name:
    content    => $content,
    config     => "# Managed by Puppet.\n${rosterd::toml('[[template]]', $values + $settings)}",
    file_name  => $file,
    config_dir => $rosterd::config_dir,
    command    => $rosterd::command,
    validate   => $validate,
    held_ok    => $held_ok,
    show_diff  => $show_diff,
    timeout    => $timeout,
  }

  # Rosterd_template writes this file. It is declared without content so that the directory's purge spares it.
  file { "${rosterd::config_dir}/puppet.d/template-${file}.toml": }
}

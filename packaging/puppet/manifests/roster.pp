# @summary The members of a path, for templates.
#
# @param path
#   The path whose children are the members.
# @param roster_name
#   The variable in templates. Default: the title.
# @param min
#   With fewer members, files stay as they are. Default: that of rosterd.
# @param max
#   The largest number of members. Default: that of rosterd.
# @param settings
#   Other keys of `[[roster]]`.
#
# @example
#   rosterd::roster { 'memcached':
#     path => '/services/production/memcached',
#     min  => 2,
#   }
define rosterd::roster (
  Pattern[/\A\//]                        $path,
  Pattern[/\A[A-Za-z_][A-Za-z0-9_]*\z/]  $roster_name = $title,
  Optional[Integer[0]]                   $min         = undef,
  Optional[Integer[1]]                   $max         = undef,
  Hash[String[1], Any]                   $settings    = {},
) {
  $values = { 'name' => $roster_name, 'path' => $path, 'min' => $min, 'max' => $max } + $settings
  rosterd::fragment { "roster-${title}":
    content => rosterd::toml('[[roster]]', $values),
  }
}

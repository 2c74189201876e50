# frozen_string_literal: true

# @summary Returns the names of the members of a path, for manifests that were written for the old `zkget`.
#
# It is `rosterd::zkget` without options. Numbers may be text. Unlike the old function, it returns an empty list, not
# `false`, if `min` is 0 and there are no members, and all members if `max` is missing.
Puppet::Functions.create_function(:zkget) do
  # @param path The path whose children are the members.
  # @param min With fewer members, the catalog fails. Default: 1.
  # @param max The first `max` members by name. Default: all.
  # @return The names of the members.
  # @example
  #   $servers = zkget('/services/production/uswest1/memcached', 1, 5)
  dispatch :zkget do
    param 'Pattern[/\A\/[^*]*\z/]', :path
    optional_param 'Variant[Integer[0], Pattern[/\A\d+\z/]]', :min
    optional_param 'Variant[Integer[1], Pattern[/\A0*[1-9]\d*\z/]]', :max
    return_type 'Array[String[1]]'
  end

  def zkget(path, *bounds)
    call_function('rosterd::zkget', path, *bounds.map { |bound| Integer(bound.to_s, 10) })
  end
end

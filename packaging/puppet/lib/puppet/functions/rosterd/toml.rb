# frozen_string_literal: true

require 'json'

# @summary Returns a table of TOML: a header, and a line for each key. Keys without a value are omitted.
#
# @api private
Puppet::Functions.create_function(:'rosterd::toml') do
  # @param header The header of the table, such as `[registry]` or `[[service]]`.
  # @param values The keys of the table. Hashes in it become inline tables.
  # @return The text.
  dispatch :toml do
    param 'String[1]', :header
    param 'Hash[String[1], Any]', :values
    return_type 'String[1]'
  end

  def toml(header, values)
    "#{[header, *pairs(values)].join("\n")}\n"
  end

  def pairs(values)
    values.compact.map { |key, value| "#{key.match?(/\A[A-Za-z0-9_-]+\z/) ? key : string(key)} = #{inline(value)}" }
  end

  def inline(value)
    case value
    when String, Symbol then string(value.to_s)
    when Integer, Float, true, false then value.to_s
    when Array then "[#{value.map { |item| inline(item) }.join(', ')}]"
    when Hash then "{ #{pairs(value).join(', ')} }"
    else raise Puppet::Error, "rosterd::toml: a #{value.class} cannot be written as TOML"
    end
  end

  # JSON escapes all that TOML does, except for DEL.
  def string(text)
    JSON.generate(text).gsub("\u007f", '\\u007f')
  end
end

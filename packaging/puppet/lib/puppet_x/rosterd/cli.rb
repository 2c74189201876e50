# frozen_string_literal: true

require 'open3'

module PuppetX
  module Rosterd
    # Runs rosterd without a shell.
    module Cli
      Result = Struct.new(:out, :err, :code)

      # Runs the program with these arguments. The code is nil if a signal killed it.
      def self.run(command, *args)
        env = { 'ROSTERD_LOG' => 'warn' }
        out, err, status = Open3.capture3(env, [command, command], *args, stdin_data: '')
        Result.new(text(out), text(err), status.exitstatus)
      rescue SystemCallError => e
        raise Puppet::Error, "cannot run #{command}: #{e.message}; is rosterd installed on this host?"
      end

      def self.text(bytes)
        bytes.dup.force_encoding(Encoding::UTF_8).scrub
      end
      private_class_method :text
    end
  end
end

# frozen_string_literal: true

# Loads a cookbook, and runs a recipe with it:
#
#     ruby stand_in.rb COOKBOOK RECIPE ATTRIBUTES [--why-run]
#
# A stand-in for the part of Chef's DSL that the cookbook and the recipes of the tests use. It loads the parts of a
# cookbook in Chef's order, compiles the recipe, converges the resources, and then runs the delayed notifications. Like
# Chef, it refuses what it does not know. Each line on standard output is a fact:
#
#     updated RESOURCE: …      would update RESOURCE: …      up to date RESOURCE      ACTION RESOURCE

require 'fileutils'
require 'json'

# The classes that the cookbook refers to.
class Chef
  Config = {}

  # Warnings go to standard error.
  module Log
    def self.warn(text)
      Kernel.warn("WARN: #{text}")
    end
  end

  # The value of a property that is computed when it is read.
  Lazy = Struct.new(:block)

  # The attributes of the host.
  module Node
    ATTRIBUTES = Hash.new { |hash, key| hash[key] = {} }

    def node
      ATTRIBUTES
    end
  end

  # Resource methods such as `file 'x' do … end`, in recipes and in actions.
  module Declare
    RESOURCES = {}

    def respond_to_missing?(name, all = false)
      RESOURCES.key?(name) || super
    end

    def method_missing(name, *args, &block)
      return super unless RESOURCES.key?(name) && args.size == 1

      resource = RESOURCES[name].new(name, args.first)
      resource.instance_eval(&block) if block
      declare(resource)
      resource
    end
  end

  # A recipe.
  class Recipe
    include Node
    include Declare

    def declared
      @declared ||= []
    end

    def declare(resource)
      declared << resource
    end

    def lazy(&block)
      Lazy.new(block)
    end
  end

  # A resource, and the DSL of a custom resource's file.
  class Resource
    include Node

    class << self
      attr_reader :actions, :action_methods

      def inherited(type)
        super
        type.instance_variable_set(:@properties, {})
        type.instance_variable_set(:@actions, {})
      end

      def provides(name)
        Declare::RESOURCES[name] = self
      end

      def unified_mode(_on); end

      def lazy(&block)
        Lazy.new(block)
      end

      def property(name, types, default: nil, name_property: false)
        define_method(name) do |*values|
          return value_of(name, default, name_property) if values.empty?

          check_value(name, values.first, Array(types))
          @values[name] = values.first
        end
      end

      def action(name, &block)
        @actions[name] = block
      end

      def action_class(&block)
        @action_methods = block
      end
    end

    attr_reader :name, :notifications

    def initialize(type, name)
      @type, @name, @values, @notifications = type, name, {}, []
    end

    def to_s
      "#{@type}[#{@name}]"
    end

    def sensitive(value = @sensitive)
      @sensitive = value
    end

    def lazy(&block)
      Lazy.new(block)
    end

    def action(name = nil)
      @action = name if name
      @action || self.class.actions.keys.first
    end

    def notifies(action, resource, timing = :delayed)
      raise ArgumentError, "this stand-in has no #{timing} notifications" unless timing == :delayed

      @notifications << [action, resource]
    end

    # Runs an action. Returns whether something changed, or would change.
    def converge(action = self.action)
      provider = Provider.new(self)
      methods = self.class.action_methods
      provider.singleton_class.class_eval(&methods) if methods
      provider.instance_eval(&self.class.actions.fetch(action))
      puts "up to date #{self}" unless provider.updated
      provider.updated
    end

    private

    def value_of(name, default, name_property)
      value = @values.fetch(name) { name_property ? @name : default }
      value.is_a?(Lazy) ? instance_eval(&value.block) : value
    end

    def check_value(name, value, types)
      return if value.is_a?(Lazy)

      raise ArgumentError, "#{self}: #{name} #{value.inspect}" unless types.any? { |type| value.is_a?(type) }
    end
  end

  # Runs an action. Its own resources converge as they are declared, as in Chef's unified mode.
  class Provider
    include Node
    include Declare

    attr_reader :new_resource, :updated

    def initialize(resource)
      @new_resource = resource
    end

    def declare(resource)
      @updated = true if resource.converge
    end

    def converge_by(description)
      @updated = true
      verb = Config[:why_run] ? 'would update' : 'updated'
      puts "#{verb} #{new_resource}: #{Array(description).join("\n  ")}"
      yield unless Config[:why_run]
    end
  end

  # Chef's resource `directory`.
  class Directory < Resource
    provides :directory
    property :recursive, [TrueClass, FalseClass]
    action :create do
      converge_by('create') { FileUtils.mkdir_p(new_resource.name) } unless File.directory?(new_resource.name)
    end
  end

  # Chef's resource `file`.
  class FileResource < Resource
    provides :file
    property :content, String
    property :mode, String
    action :create do
      path, text = new_resource.name, new_resource.content
      old = File.exist?(path) && [File.binread(path), format('%04o', File.stat(path).mode & 0o7777)]
      wanted = [text.b, new_resource.mode || (old ? old.last : '0644')]
      next if old == wanted

      converge_by('write') do
        File.write(path, text)
        File.chmod(wanted.last.to_i(8), path)
      end
    end
    action :delete do
      converge_by('delete') { File.delete(new_resource.name) } if File.exist?(new_resource.name)
    end
  end

  # Chef's resource `service`, which only prints the actions that it was notified of.
  class Service < Resource
    provides :service
    property :supports, Hash
    %i[nothing enable start].each { |name| action(name) {} }
    action(:reload) { converge_by('reload') {} }
  end
end

# `default['rosterd']['command'] = …`
class AttributesFile
  def default
    Chef::Node::ATTRIBUTES
  end
end

cookbook, recipe, attributes, why_run = ARGV
Chef::Config[:why_run] = why_run == '--why-run'
AttributesFile.new.instance_eval(File.read("#{cookbook}/attributes/default.rb"))
Dir["#{cookbook}/libraries/*.rb"].sort.each { |path| load(path) }
Dir["#{cookbook}/resources/*.rb"].sort.each do |path|
  Class.new(Chef::Resource).class_eval(File.read(path), path)
end
Chef::Node::ATTRIBUTES['rosterd'].merge!(JSON.parse(attributes))

compiled = Chef::Recipe.new
compiled.instance_eval(File.read(recipe), recipe)
notified = []
compiled.declared.each do |resource|
  updated = Array(resource.action).map { |action| resource.converge(action) }.any?
  notified.concat(resource.notifications) if updated
end
notified.uniq.each do |action, name|
  target = compiled.declared.find { |resource| resource.to_s == name } || raise(ArgumentError, "there is no #{name}")
  target.converge(action)
end

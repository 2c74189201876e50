# frozen_string_literal: true

# The chroot of a registry, created if it does not exist. Without it, every request of a client in the chroot fails.

provides :rosterd_chroot
unified_mode true

# zk://zk1:2181,zk2:2181/chroot
property :url, String, name_property: true
# The ACL of the nodes that are created, such as ['auth::cdrwa', 'world:anyone:r']. Default: open to everyone.
property :acl, Array, default: []
# A configuration file with the credentials of the registry.
property :config, String
property :timeout, String, default: lazy { node['rosterd']['timeout'] }
property :command, String, default: lazy { node['rosterd']['command'] }

action :create do
  parts = %r{\A(zks?://[^/]+)(/.+)\z}.match(new_resource.url)
  raise ArgumentError, "#{new_resource} is not a URL with a chroot: zk://zk1:2181,zk2:2181/chroot" unless parts

  servers, chroot = parts.captures
  config = new_resource.config ? ['-c', new_resource.config] : []
  look = config + ["--registry=#{servers}", 'ls', "--timeout=#{new_resource.timeout}", '--', chroot]
  # 1: it exists, and some of its children cannot be read. 3: it does not exist.
  _, code = Rosterd.run(new_resource.command, look, expected: [0, 1, 3])
  if code == 3
    converge_by("create the chroot #{chroot}") do
      acl = new_resource.acl.map { |entry| "--acl=#{entry}" }
      prime = config + ['prime-chroot', "--timeout=#{new_resource.timeout}", *acl, '--', new_resource.url]
      Rosterd.run(new_resource.command, prime)
    end
  end
end

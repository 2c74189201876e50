# The configuration of an edge host.
consul {
  address = "127.0.0.1:8500"
}

log_level = "warn"

wait {
  min = "1s"
  max = "3s"
}

template {
  source      = "templates/haproxy.cfg.ctmpl"
  destination = "DEST/haproxy.cfg"
  command     = "true"
  perms       = 0640
  backup      = true
}

template {
  source               = "templates/nginx.conf.ctmpl"
  destination          = "DEST/nginx.conf"
  command              = ["test", "-s", "DEST/nginx.conf"]
  command_timeout      = "20s"
  error_on_missing_key = true
}

template {
  source      = "templates/hosts.ctmpl"
  destination = "DEST/hosts"
  exec {
    command = ["true"]
    timeout = "5s"
  }
}

template { // one line each
  source = "templates/redis.conf.ctmpl", destination = "DEST/redis.conf"
}

/* Other braces, because the text has Go's own. */
template {
  source          = "templates/pgpool.conf.ctmpl"
  destination     = "DEST/pgpool.conf"
  left_delimiter  = "<<"
  right_delimiter = ">>"
}

template {
  destination = "DEST/motd"
  contents    = <<-EOT
    Domain {{ key "config/web/domain" }}, ${x}
      web: {{ len (service "web") }}
    EOT
}

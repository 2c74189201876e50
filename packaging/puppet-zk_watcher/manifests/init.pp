# @summary Stands in for the module that installed zk_watcher: it installs rosterd.
class zk_watcher {
  include rosterd
}

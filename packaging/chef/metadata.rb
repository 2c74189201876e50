# frozen_string_literal: true

name 'rosterd'
maintainer 'The authors of rosterd'
license 'MIT OR Apache-2.0'
description 'Members of ZooKeeper in recipes, files rendered by rosterd, and services registered by it'
version '0.1.0'
chef_version '>= 16.0'
supports 'debian'
supports 'ubuntu'

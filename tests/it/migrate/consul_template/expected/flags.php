<?php
define('FLAG_BETA', true);
define('FLAG_DARK_MODE', false);

module hawser.dev/local/pause

go 1.24

module crossdock/stomp

go 1.26

require github.com/go-stomp/stomp/v3 v3.1.3

# Varnish for advertisements, in front of nginx.conf. Requests that come during a fill share it and get its bytes as they
# come (the default of Varnish). After each change of a ref, the benchmark sends BAN for its URL. ls-refs and fetches are POSTs,
# which Varnish passes. It runs with 4 GB of memory for entries, 200 threads in each pool from the start and up to 5,000, one
# per connection that is being answered.
vcl 4.1;

import std;

backend default {
  .host = "127.0.0.1";
  .port = "@GIT_PORT@";
  .first_byte_timeout = 300s;
  .between_bytes_timeout = 300s;
}

sub vcl_recv {
  if (req.method == "BAN") {
    if (std.ban("obj.http.x-url == " + req.url)) {
      return (synth(200));
    }
    return (synth(400, std.ban_error()));
  }
  if (req.method == "GET" && req.url ~ "/info/refs\?service=git-upload-pack$") {
    return (hash);
  }
  return (pass);
}

sub vcl_hash {
  hash_data(req.url);
  hash_data(req.http.Git-Protocol);
  return (lookup);
}

sub vcl_backend_response {
  if (bereq.uncacheable || beresp.status != 200) {
    set beresp.uncacheable = true;
    return (deliver);
  }
  # Git's headers forbid caching; here each change of a ref is announced instead.
  set beresp.ttl = 1d;
  # Never an answer that is known to be old.
  set beresp.grace = 0s;
  set beresp.keep = 0s;
  set beresp.http.x-url = bereq.url;
  return (deliver);
}

sub vcl_deliver {
  unset resp.http.x-url;
}

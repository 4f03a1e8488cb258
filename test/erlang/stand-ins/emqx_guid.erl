%% Stands in for EMQX's: 16 bytes that begin with the time, in microseconds, and differ from node to node.
-module(emqx_guid).

-export([gen/0, to_hexstr/1]).

gen() ->
    <<(erlang:system_time(microsecond)):64, (erlang:phash2(node())):32, (erlang:unique_integer([positive])):32>>.

to_hexstr(Id) -> binary:encode_hex(Id).

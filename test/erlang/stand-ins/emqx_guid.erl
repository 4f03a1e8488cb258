%% Stands in for EMQX's: 16 bytes that begin with the time, in microseconds.
-module(emqx_guid).

-export([gen/0, to_hexstr/1]).

gen() -> <<(erlang:system_time(microsecond)):64, (erlang:unique_integer([positive])):64>>.

to_hexstr(Id) -> binary:encode_hex(Id).

%% Stands in for EMQX's: what a client may not subscribe to is said by the test.
-module(emqx_access_control).

-export([authorize/3]).

authorize(#{clientid := _}, #{action_type := subscribe, qos := _}, Topic) when is_binary(Topic) ->
    case lists:member(Topic, emqx_stand_ins:get(denied, [])) of
        true -> deny;
        false -> allow
    end.

%% Stands in for EMQX's.
-module(emqx_mountpoint).

-export([unmount/2]).

unmount(undefined, Topic) ->
    Topic;
unmount(Mountpoint, {share, Group, Topic}) ->
    {share, Group, unmount(Mountpoint, Topic)};
unmount(Mountpoint, Topic) ->
    case string:prefix(Topic, Mountpoint) of
        nomatch -> Topic;
        Rest -> Rest
    end.

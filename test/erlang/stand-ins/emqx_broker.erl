%% Stands in for EMQX's: who is subscribed to what, and the way of a message to them.
-module(emqx_broker).

-export([start/0, subscribe/3, unsubscribe/1, get_subopts/2, subscribers/1, publish/1, subscriptions/1]).

%% {{Topic, Pid}, ClientId, Options}
start() ->
    ets:new(?MODULE, [named_table, public, ordered_set]),
    ok.

subscribe(Topic, ClientId, Options) when is_map(Options) ->
    ets:insert(?MODULE, {{Topic, self()}, ClientId, Options}),
    ok.

unsubscribe(Topic) ->
    ets:delete(?MODULE, {Topic, self()}),
    ok.

get_subopts(Pid, Topic) ->
    case ets:lookup(?MODULE, {Topic, Pid}) of
        [{_, _, Options}] -> Options;
        [] -> undefined
    end.

subscribers(Topic) -> [Pid || {{T, Pid}, _, _} <- ets:tab2list(?MODULE), T =:= Topic].

subscriptions(Pid) -> [Topic || {{Topic, P}, _, _} <- ets:tab2list(?MODULE), P =:= Pid].

%% The routes, or `disconnect`.
publish(Message0) ->
    Message = emqx_hooks:run_fold('message.publish', [], emqx_message:set_flag(dup, false, Message0)),
    case {emqx_message:get_header(should_disconnect, Message), emqx_message:get_header(allow_publish, Message)} of
        {true, _} -> disconnect;
        {_, false} -> [];
        _ -> route(Message)
    end.

route(Message) ->
    Topic = emqx_message:topic(Message),
    emqx_message:get_flag(retain, Message) andalso emqx_retainer:retain(Message),
    Matching = [{T, Pid} || {{T, Pid}, _, _} <- ets:tab2list(?MODULE), emqx_topic:match(Topic, plain(T))],
    {Shared, Plain} = lists:partition(fun({T, _}) -> is_tuple(T) end, Matching),
    Groups = maps:groups_from_list(fun({T, _}) -> T end, Shared),
    Picked = [lists:nth(rand:uniform(length(Members)), Members) || Members <- maps:values(Groups)],
    [deliver(T, Pid, Message) || {T, Pid} <- Plain ++ Picked].

plain({share, _, Topic}) -> Topic;
plain(Topic) -> Topic.

deliver(Topic, Pid, Message) ->
    Pid ! {deliver, Topic, Message},
    {node(), Topic, {ok, 1}}.

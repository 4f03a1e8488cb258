%% Stands in for EMQX's: who is subscribed to what, and the way of a message to them, on every node that is connected.
%% As there, the subscribers of one topic filter are looked up at once: a dispatch sees a process, or the one that has
%% taken its place, and not neither of them.
-module(emqx_broker).

-export([start/0, start_forwarder/0, subscribe/2, subscribe/3, unsubscribe/1, get_subopts/2, subscribers/1, publish/1]).
-export([subscriptions/1, filter/2, route/1]).

%% {Topic, Pid}; {{Topic, Pid}, Options}; every topic that there has been.
-define(SUBSCRIBERS, emqx_subscriber).
-define(OPTIONS, emqx_suboption).
-define(TOPICS, emqx_route).

start() ->
    ets:new(?SUBSCRIBERS, [named_table, public, bag]),
    ets:new(?OPTIONS, [named_table, public, ordered_set]),
    ets:new(?TOPICS, [named_table, public, ordered_set]),
    ok.

%% Takes what other nodes publish.
start_forwarder() ->
    true = register(?MODULE, spawn(fun forward/0)),
    ok.

forward() ->
    receive
        {forwarded, Message} -> route_here(Message)
    end,
    forward().

subscribe(Topic, Options) when is_map(Options) ->
    ets:insert(?TOPICS, {Topic}),
    ets:insert(?OPTIONS, {{Topic, self()}, Options}),
    ets:insert(?SUBSCRIBERS, {Topic, self()}),
    ok.

subscribe(Topic, ClientId, Options) when is_map(Options), is_binary(ClientId) ->
    subscribe(Topic, Options#{subid => ClientId}).

unsubscribe(Topic) ->
    ets:delete(?OPTIONS, {Topic, self()}),
    ets:delete_object(?SUBSCRIBERS, {Topic, self()}),
    ok.

get_subopts(Pid, Topic) ->
    case ets:lookup(?OPTIONS, {Topic, Pid}) of
        [{_, Options}] -> Options;
        [] -> undefined
    end.

%% Those whose process has died EMQX takes out itself.
subscribers(Topic) -> [Pid || {_, Pid} <- ets:lookup(?SUBSCRIBERS, Topic), is_process_alive(Pid)].

subscriptions(Pid) -> [Topic || {{Topic, P}, _} <- ets:tab2list(?OPTIONS), P =:= Pid].

%% The routes, or `disconnect`.
publish(Message0) ->
    Message = emqx_hooks:run_fold('message.publish', [], emqx_message:set_flag(dup, false, Message0)),
    case {emqx_message:get_header(should_disconnect, Message), emqx_message:get_header(allow_publish, Message)} of
        {true, _} -> disconnect;
        {_, false} -> [];
        _ -> route(Message)
    end.

route(Message) ->
    [{?MODULE, Node} ! {forwarded, Message} || Node <- nodes(connected)],
    route_here(Message).

route_here(Message) ->
    Topics = [T || {T} <- ets:tab2list(?TOPICS), emqx_topic:match(emqx_message:topic(Message), plain(T))],
    lists:append([dispatch(Topic, subscribers(Topic), Message) || Topic <- Topics]).

plain({share, _, Topic}) -> Topic;
plain(Topic) -> Topic.

dispatch(_, [], _) -> [];
dispatch({share, Group, Topic}, Members, Message) ->
    Marked = emqx_message:set_header(redispatch_to, {Group, Topic}, Message),
    [deliver(Topic, lists:nth(rand:uniform(length(Members)), Members), Marked)];
dispatch(Topic, Pids, Message) ->
    [deliver(Topic, Pid, Message) || Pid <- Pids].

deliver(Topic, Pid, Message) ->
    Pid ! {deliver, Topic, Message},
    {node(), Topic, {ok, 1}}.

%% What the session has subscribed to: a message to a member of a group comes for the topic of the group.
filter(Topic, Message) ->
    case emqx_message:get_header(redispatch_to, Message) of
        {Group, Filter} -> {share, Group, Filter};
        undefined -> Topic
    end.

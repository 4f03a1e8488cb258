%% Stands in for EMQX's.
-module(emqx_retainer).

-export([start/0, on_message_publish/1, read_message/1, matching/1]).

start() ->
    ets:new(?MODULE, [named_table, public, ordered_set]),
    emqx_hooks:put('message.publish', {?MODULE, on_message_publish, []}, 930).

on_message_publish(Message) ->
    Retained = {emqx_message:topic(Message), emqx_message:set_header(retained, true, Message)},
    emqx_message:get_flag(retain, Message) andalso ets:insert(?MODULE, Retained),
    {ok, Message}.

read_message(Topic) -> {ok, [Message || {_, Message} <- ets:lookup(?MODULE, Topic)]}.

matching(Filter) -> [Message || {Topic, Message} <- ets:tab2list(?MODULE), emqx_topic:match(Topic, Filter)].

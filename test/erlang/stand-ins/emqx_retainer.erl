%% Stands in for EMQX's.
-module(emqx_retainer).

-export([start/0, retain/1, read_message/1, matching/1]).

start() ->
    ets:new(?MODULE, [named_table, public, ordered_set]),
    ok.

retain(Message) ->
    ets:insert(?MODULE, {emqx_message:topic(Message), emqx_message:set_header(retained, true, Message)}).

read_message(Topic) -> {ok, [Message || {_, Message} <- ets:lookup(?MODULE, Topic)]}.

matching(Filter) -> [Message || {Topic, Message} <- ets:tab2list(?MODULE), emqx_topic:match(Topic, Filter)].

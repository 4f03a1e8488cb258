%% Lines for EMQX's log. Neither messages nor a configuration nor a secret are ever in one.
-module(emqx_omp_log).

-export([log/2, failed/4, start/0, lost/1]).

%% How many messages are lost and not logged yet, and when the last line was, in ms.
-define(LOST, {emqx_omp, lost}).
-define(COUNT, 1).
-define(LOGGED, 2).
-define(MINUTE, 60000).

-type level() :: logger:level().

%% One line.
-spec log(level(), unicode:chardata()) -> ok.
log(Level, Text) ->
    logger:log(Level, #{msg => "offline_message_plugin", text => unicode:characters_to_binary(Text)}).

%% What should not happen. Of the stack only where it was: the arguments may be anything.
failed(Where, Class, Reason, Stack) ->
    Places = [{Module, Function, arity(Arguments)} || {Module, Function, Arguments, _} <- lists:sublist(Stack, 4)],
    log(error, io_lib:format("~s failed: ~s ~0p at ~0p", [Where, Class, kind(Reason), Places])).

%% Before lost/1.
start() ->
    Lost = atomics:new(2, [{signed, true}]),
    atomics:put(Lost, ?LOGGED, now_ms() - ?MINUTE),
    persistent_term:put(?LOST, Lost).

%% A message that is refused and that nobody publishes again: one line a minute, with their number.
-spec lost(binary()) -> ok.
lost(Topic) ->
    Lost = persistent_term:get(?LOST),
    atomics:add(Lost, ?COUNT, 1),
    Logged = atomics:get(Lost, ?LOGGED),
    Now = now_ms(),
    %% Of several processes one writes it.
    case Now - Logged >= ?MINUTE andalso atomics:compare_exchange(Lost, ?LOGGED, Logged, Now) of
        ok ->
            Text = "The engine cannot be reached: ~b messages of no MQTT client (wills, REST, rules) are lost since "
            "the last such line, the last one to ~0p",
            log(warning, io_lib:format(Text, [atomics:exchange(Lost, ?COUNT, 0), Topic]));
        _ ->
            ok
    end.

now_ms() -> erlang:monotonic_time(millisecond).

arity(Arguments) when is_list(Arguments) -> length(Arguments);
arity(Arity) -> Arity.

kind(Reason) when is_atom(Reason) -> Reason;
kind(Reason) when is_tuple(Reason), is_atom(element(1, Reason)) -> element(1, Reason);
kind(_) -> unknown.

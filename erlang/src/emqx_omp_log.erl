%% Lines for EMQX's log. Neither messages nor a configuration nor a secret are ever in one.
-module(emqx_omp_log).

-export([log/2, failed/4]).

-type level() :: logger:level().

%% One line.
-spec log(level(), unicode:chardata()) -> ok.
log(Level, Text) ->
    logger:log(Level, #{msg => "offline_message_plugin", text => unicode:characters_to_binary(Text)}).

%% What should not happen. Of the stack only where it was: the arguments may be anything.
failed(Where, Class, Reason, Stack) ->
    Places = [{Module, Function, arity(Arguments)} || {Module, Function, Arguments, _} <- lists:sublist(Stack, 4)],
    log(error, io_lib:format("~s failed: ~s ~0p at ~0p", [Where, Class, kind(Reason), Places])).

arity(Arguments) when is_list(Arguments) -> length(Arguments);
arity(Arity) -> Arity.

kind(Reason) when is_atom(Reason) -> Reason;
kind(Reason) when is_tuple(Reason), is_atom(element(1, Reason)) -> element(1, Reason);
kind(_) -> unknown.
